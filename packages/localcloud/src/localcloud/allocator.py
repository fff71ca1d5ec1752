"""glibc's allocator: one arena for all threads.

glibc gives each thread an arena, and an arena keeps the most that it ever held. localcloud's threads do the same work
in turn (writing the logs, reading SQLite), so each of a dozen arenas grows to the size of the greatest piece of work.
"""

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress

ARENAS = "MALLOC_ARENA_MAX"
_M_ARENA_MAX = -8


def share_arena(environ: Mapping[str, str] = os.environ) -> bool:
    """Have threads that start from now on share the main arena, unless the environment says how many there are to be;
    return whether that is so. Another C library than glibc is left as it is."""
    if ARENAS not in environ:
        with suppress(OSError, AttributeError):
            return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    return False
