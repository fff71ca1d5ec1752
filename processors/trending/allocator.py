"""glibc's allocator, set for columns that grow: one arena for all threads, and large pieces of memory by themselves.

By itself glibc gives each thread an arena, and takes ever larger pieces (up to 32 MB) from it once some were freed. So
what fetches and growing columns leave behind becomes holes between what is kept.
"""

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress

LARGE_BYTES = 64 * 1024
"""Pieces of so many bytes are mapped by themselves: they grow without a copy, and are given back at once."""

_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1


def map_large_pieces(environ: Mapping[str, str] = os.environ) -> bool:
    """Set the allocator, unless the environment does; return whether that was done. Another C library than glibc is
    left as it is. To be called before threads start."""
    if any(name.startswith("MALLOC_") for name in environ):
        return False
    options = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, 2 * LARGE_BYTES))
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all(mallopt(option, value) for option, value in options)
    return False
