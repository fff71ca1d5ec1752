"""How memory is given out and collected: one arena of glibc for all threads, large pieces in mappings of their own, and
Python's collector less often.

glibc gives each thread an arena, and an arena keeps the most that it ever held. localcloud's threads do the same work
in turn (writing the logs, reading SQLite), so each of a dozen arenas grows to the size of the greatest piece of work.

A piece that is mapped by itself goes back to the system as soon as it is freed. But with the first one that is, glibc
raises the size from which pieces are mapped to the size of that one, up to 32 MB. From then on reads, requests and
answers are cut out of the heap, and leave holes in it.
"""

import ctypes
import gc
import os
from collections.abc import Mapping
from contextlib import suppress

ARENAS = "MALLOC_ARENA_MAX"
MAPPED = "MALLOC_MMAP_THRESHOLD_"
LARGE_BYTES = 256 << 10
"""Pieces of this size and more are mapped by themselves, which costs page faults each time."""

COLLECTED = 5_000
"""Python's collector runs once there are so many more objects than at its last run. Each request makes some hundreds
that go by themselves, so that at its usual 700 it runs several times a second, and finds nothing."""

_OPTIONS = {ARENAS: (-8, 1), MAPPED: (-3, LARGE_BYTES)}
"""By the variables of the environment that set the same: the options' numbers, and their values here."""


def bound_heap(environ: Mapping[str, str] = os.environ) -> None:
    """Have threads that start from now on share the main arena, and large pieces mapped by themselves, each unless the
    environment says otherwise. Another C library than glibc is left as it is."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for name, option in _OPTIONS.items():
            if name not in environ:
                mallopt(*option)


def collect_seldom() -> None:
    """Have Python's collector run less often."""
    gc.set_threshold(COLLECTED, 10, 10)
