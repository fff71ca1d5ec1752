"""What partitions write and sync, handed to threads: what is due in one turn of the loop is one thread's work.

Waking a thread, and the loop again, costs as much CPU as a small write with its sync. And partitions that are appended
to together are seen together: who waits for several of them is woken once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

Write = Callable[[], None]

SLOW_S = 0.01
"""While a write takes longer than that, each has a thread of its own: one after the other they would be waited for."""


class Commits:
    """Writes of partitions in the threads of `executor`. To be used in the event loop."""

    def __init__(self, executor: Executor, steady: Callable[[], float] = time.monotonic) -> None:
        self.executor = executor
        self._steady = steady
        self._gathered: list[tuple[Write, asyncio.Future[None]]] = []
        self._is_slow = False

    def run(self, write: Write) -> "asyncio.Future[None]":
        """Run `write` in a thread, behind those of the same turn of the loop. All of them are done at the same moment,
        each with what it raised. While writes are slow, each has a thread and a moment of its own."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._hand_over, loop)
        self._gathered.append((write, done))
        return done

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered, self._gathered = self._gathered, []
        for group in [[one] for one in gathered] if self._is_slow else [gathered]:
            complete = partial(self._complete, [done for _, done in group], self._steady())
            # Without a future of the thread and one of the loop that follows it: each would be a turn of the loop.
            self.executor.submit(_run_all, [write for write, _ in group], partial(loop.call_soon_threadsafe, complete))

    def _complete(
        self, waiting: Sequence["asyncio.Future[None]"], begun_s: float, errors: Sequence[BaseException | None]
    ) -> None:
        self._is_slow = self._steady() - begun_s > SLOW_S * len(waiting)
        for done, error in zip(waiting, errors, strict=True):
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def _run_all(writes: Sequence[Write], tell: Callable[[list[BaseException | None]], object]) -> None:
    tell([_error_of(write) for write in writes])


def _error_of(write: Write) -> BaseException | None:
    try:
        write()
    except BaseException as error:  # noqa: BLE001 - the partition gets it
        return error
    return None
