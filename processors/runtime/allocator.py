"""glibc's allocator: one heap for all threads, and free memory given back to the system.

Columns grow a thousand times, and nodes and batches of bodies come and go between what stays. glibc keeps the holes,
which may be more than what stays, and gives back by itself no more than what lies at the end of its heap. Each thread
has a heap of its own, unless it is told otherwise, and each keeps the holes of its own work. A large piece is mapped by
itself until the first of them is freed: from then on pieces of that size are cut out of the heap.
"""

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from songline.cloud.concurrency import end_task

HEAPS = "MALLOC_ARENA_MAX"
"""The variable of the environment that bounds their number. Source: mallopt(3)."""
MAPPED = "MALLOC_MMAP_THRESHOLD_"
"""The variable of the environment with the size from which pieces are mapped by themselves."""
LARGE_BYTES = 64 << 10
"""That size for a worker that has few of them: each costs page faults. Smaller ones leave holes between what stays."""
RELEASE_S = 5.0
"""The pause between two times at which free memory is given back: what is fetched in so long may come on top."""
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3


def share_heap(environ: Mapping[str, str] = os.environ) -> None:
    """Have threads that start from now on share one heap, unless the environment says otherwise. To be called before
    numpy is imported, which starts threads. Another C library than glibc is left as it is."""
    _set_option(_M_ARENA_MAX, 1, HEAPS, environ)


def bound_heap(environ: Mapping[str, str] = os.environ) -> None:
    """Share one heap, and have pieces of LARGE_BYTES and more mapped by themselves for good, unless the environment
    says otherwise. To be called as `share_heap` is."""
    share_heap(environ)
    _set_option(_M_MMAP_THRESHOLD, LARGE_BYTES, MAPPED, environ)


def release_free_memory() -> bool:
    """Give back all whole pages that are free; whether there were any. Another C library than glibc keeps its own."""
    with suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).malloc_trim(0))
    return False


@asynccontextmanager
async def free_memory_released(pause_s: float = RELEASE_S) -> AsyncIterator[None]:
    """Give back free memory every `pause_s` seconds while the context lasts, in a thread: it takes milliseconds."""

    async def release() -> None:
        while True:
            await asyncio.sleep(pause_s)
            await asyncio.to_thread(release_free_memory)

    releasing = asyncio.create_task(release(), name="release free memory")
    try:
        yield
    finally:
        await end_task(releasing)


def _set_option(option: int, value: int, variable: str, environ: Mapping[str, str]) -> None:
    with suppress(OSError, AttributeError):
        if variable not in environ:
            ctypes.CDLL(None).mallopt(option, value)
