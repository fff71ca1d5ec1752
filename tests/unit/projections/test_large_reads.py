"""Large libraries are decoded and folded in threads, of which there are few."""

import asyncio
import threading
from typing import Any, cast

from songline.projections.library.folded_cache import FoldedCache
from songline.projections.library.library_reader import LARGE_AT_ONCE, SMALL_LETTERS, LibraryReader


async def test_a_thread_counts_until_its_end_though_nobody_waits_for_it() -> None:
    nothing = cast("Any", None)
    reader = LibraryReader(nothing, FoldedCache())
    begun, may_end, after = threading.Semaphore(0), threading.Event(), threading.Event()

    def work() -> None:
        begun.release()
        may_end.wait()

    given_up = [asyncio.create_task(reader._worked(SMALL_LETTERS + 1, work)) for _ in range(LARGE_AT_ONCE)]
    for _ in given_up:
        await asyncio.to_thread(begun.acquire)
    for one in given_up:
        one.cancel()
    await asyncio.wait(given_up)
    following = asyncio.create_task(reader._worked(SMALL_LETTERS + 1, after.set))
    # It would be in the thread pool's queue before this call, if it did not wait.
    await asyncio.to_thread(int)
    try:
        assert not after.is_set()
    finally:
        may_end.set()
    await following
    assert after.is_set()
