"""glibc's allocator: one heap for all threads, and free memory given back to the system.

Columns grow a thousand times, and batches of bodies come and go between them. glibc keeps the holes, which are more
than the columns themselves, and gives back by itself no more than what lies at the end of its heap. Each thread has a
heap of its own, unless it is told otherwise, and each keeps the holes of its own work.
"""

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress

HEAPS = "MALLOC_ARENA_MAX"
"""The variable of the environment that bounds their number. Source: mallopt(3)."""
_M_ARENA_MAX = -8


def share_heap(environ: Mapping[str, str] = os.environ) -> None:
    """Have threads that start from now on share one heap, unless the environment says otherwise. To be called before
    numpy is imported, which starts threads. Another C library than glibc is left as it is."""
    with suppress(OSError, AttributeError):
        if HEAPS not in environ:
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def release_free_memory() -> bool:
    """Give back all whole pages that are free; whether there were any. Another C library than glibc keeps its own."""
    with suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).malloc_trim(0))
    return False
