"""glibc's free memory, given back to the system.

Columns grow a thousand times, and batches of bodies come and go between them. glibc keeps the holes, which are more
than the columns themselves, and gives back by itself no more than what lies at the end of its heap.
"""

import ctypes
from contextlib import suppress


def release_free_memory() -> bool:
    """Give back all whole pages that are free; whether there were any. Another C library than glibc keeps its own."""
    with suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).malloc_trim(0))
    return False
