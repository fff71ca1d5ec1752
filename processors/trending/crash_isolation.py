"""An error in a fold ends the worker before anything is acknowledged, and the next worker finds the record.

The rule is that of `songline.processors.runtime.attempts`: the next worker folds in pieces, notes each piece before it
folds it, and parks the record that has ended it alone too often. A worker that was killed in the middle of its work is
followed by one that folds as usual. `fold_guard.py` does that for the partitions of one stage; what the stages of a
worker share is here.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

from azure.core.exceptions import AzureError
from msgspec import structs

from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.retry import FailedTry, RetryPolicy, retry
from songline.cloud.service_fault import fault_of
from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.attempts import Attempt
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.piece_gate import PieceGate
from songline.processors.runtime.process import CRASHED_IN_FOLD
from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.parking_queue import ParkingQueue
from songline.processors.trending.sdk_errors import SERVICE_ERRORS

log = logging.getLogger(__name__)

POLICY = RetryPolicy(first_pause_s=2.0, longest_pause_s=2.0)

NOTE_TIMEOUT_S = 5.0
ENDING_S = 20.0
"""Seconds that the process has to end in good order before it is ended."""

T = TypeVar("T")


class CrashIsolation:
    """What the stages of one worker share. `crash` ends the app in good order; `error` is why it ends.

    `last_error` says why an attempt could not be noted at the last try, None once one could.
    """

    def __init__(
        self,
        store: AttemptStore,
        bound: ParkingBound,
        parking: ParkingQueue,
        crash: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self.store = store
        self.bound = bound
        self.parking = parking
        self.pieces = PieceGate()
        """While a suspect is folded there is no other piece and no timer: what ends the process then is in that one."""
        self.error: Exception | None = None
        self.last_error: Exception | None = None
        self.in_pieces: set[str] = set()
        """The partitions that are folded in pieces."""
        self.noted: dict[str, Attempt] = {}
        """The attempts of the partitions that are held, by id, as they were written last."""
        self._crash = crash

    async def end(self, error: Exception, attempt: Attempt | None = None) -> None:
        """End the worker because of `error`, which is noted in the attempt, or in all attempts where it is not known of
        which partition it is; never returns."""
        if self.error is None:
            self.error = error
            log.critical("the worker ends before anything is acknowledged: %s", last_line(error), exc_info=error)
            attempts = list(self.noted.values()) if attempt is None else [attempt]
            noted = [structs.replace(one, error=last_line(error)) for one in attempts]
            try:
                async with asyncio.timeout(NOTE_TIMEOUT_S):
                    await gather_or_cancel(map(self.store.write, noted))
            except (AzureError, TimeoutError) as failure:
                log.warning("the error that ends the worker was not noted: %s", failure)
            timer = threading.Timer(ENDING_S, os._exit, (CRASHED_IN_FOLD,))
            timer.daemon = True
            timer.start()
            await self._crash(error)
        await self.stop()

    async def run_apart(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, but not while a suspect is folded; an error in it ends the worker."""
        if self.error is not None:
            return
        async with self.pieces.beside() if self.in_pieces else nullcontext():
            await self.run(work)

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`; an error in it ends the worker. Faust would go on, an agent with its next batch."""
        try:
            await work()
        except SERVICE_ERRORS as error:
            # The hub was away for longer than the clients wait for it: only a new start helps.
            await self._crash(error)
            await self.stop()
        except Exception as error:  # noqa: BLE001  # of what was folded: the next worker looks for it
            await self.end(error)

    async def stop(self) -> None:
        """Go no further until the process ends."""
        await asyncio.Event().wait()

    async def retry(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns, called again until the store answers."""
        result = await retry(call, POLICY, lambda error: fault_of(error) is not None, self._record)
        self.last_error = None
        return result

    def _record(self, failed: FailedTry) -> None:
        if self.last_error is None:
            log.warning("attempts can't be noted, trying again: %s", failed.error)
        self.last_error = failed.error
