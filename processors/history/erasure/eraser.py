"""Carries out erasures whose window has passed, step by step, and goes on with those that a crash left."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError, ResourceNotFoundError
from msgspec import structs

from songline.cloud.extras import MissingExtraError
from songline.cloud.service_fault import fault_of
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.hub_bounds import HubEndState, has_ended
from songline.processors.history.erasure.job import LEASE, ErasureJob, ErasureStepRunner, LeaseLostError, NotYetError
from songline.processors.history.erasure.rename import REDACTED, replaced_in
from songline.schemas.erasures import Erasure, StepProgress, begun, ended, finished, stepped

logger = logging.getLogger("erasure")

MAX_WHY = 2_000
"""Characters of a reason that are kept."""


class Eraser:
    """Looks every `every_s` seconds for what is due. `worker` is a name that no other process has; `end` erases what
    came since an erasure was done, before its key is deleted.

    Several may run: an erasure is one worker's, by a lease that it renews, and each step may be done twice.
    """

    def __init__(
        self,
        store: ErasureStore,
        steps: Sequence[ErasureStepRunner],
        read_ends: Callable[[], Awaitable[HubEndState]],
        end: Callable[[Erasure], Awaitable[None]],
        worker: str,
        now: Callable[[], datetime],
        every_s: float = 30.0,
        lease: timedelta = LEASE,
    ) -> None:
        self._store, self._steps, self._read_ends, self._end = store, steps, read_ends, end
        self._worker, self._now, self._every_s, self._lease = worker, now, every_s, lease

    async def run(self, stop: asyncio.Event) -> None:
        """Carry out what is due until `stop`. What a service that is away interrupts is left to the next look."""
        while not stop.is_set():
            try:
                await self.round()
            except ResourceNotFoundError:
                pass  # An account of an earlier release has no container of erasures yet, and so no request.
            except Exception as error:  # noqa: BLE001 - logged, and tried again
                _log("erasures wait", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)

    async def round(self) -> None:
        """Carry out what is due, and end what the hub has nothing of any more. Raises the SDKs' errors."""
        for erasure in await self._store.due(self._now()):
            try:
                await self._take(erasure)
            except Exception as error:  # noqa: BLE001 - logged, and tried again
                # One that fails, for whatever cause, keeps no other from being carried out.
                _log(f"erasure {erasure.id} is tried again", error)
        waiting = [one for one in await self._store.keyed() if one.state == "done"]
        if waiting:
            hub = await self._read_ends()
            for erasure in waiting:
                if has_ended(erasure, hub):
                    await self._end(erasure)
                    await self._store.change(erasure.id, ended)
                    logger.info("erasure %s: the hub has nothing of the listener any more", erasure.id)

    async def _take(self, erasure: Erasure) -> None:
        taken = await self._store.change(erasure.id, self._begun)
        if taken.worker != self._worker or taken.state != "running":
            return
        job = ErasureJob(self._store, taken, self._worker, self._now, self._lease)
        working = asyncio.create_task(self._carry_out(job))
        renewing = asyncio.create_task(self._renew(job))
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, renewing):
                task.cancel()
            results = await asyncio.gather(working, renewing, return_exceptions=True)
        for result in results:
            if isinstance(result, LeaseLostError):
                logger.warning("%s", result)
            elif isinstance(result, Exception):
                await self._release(job, str(result) or type(result).__name__)
                raise result

    def _begun(self, before: Erasure) -> Erasure:
        free = before.state == "waiting" or before.worker in ("", self._worker)
        if before.is_open and (free or (before.lease_until or self._now()) <= self._now()):
            return begun(before, self._worker, self._now(), self._lease)
        return before

    async def _carry_out(self, job: ErasureJob) -> None:
        for step in self._steps:
            if job.erasure.step(step.name) is not None:
                continue
            try:
                result = await step.run(job)
            except NotYetError as why:
                logger.info("erasure %s, %s: %s", job.erasure.id, step.name, why)
                await self._release(job, str(why), step.name)
                return
            except MissingExtraError as missing:
                await self._release(job, str(missing), step.name)
                return
            await self._record(job, step.name, result.counts, result.note)
        await job.change(lambda before: finished(before, self._now()))
        logger.info("erasure %s is done", job.erasure.id)

    async def _record(self, job: ErasureJob, name: str, counts: object, note: str) -> None:
        assert isinstance(counts, dict)
        await job.change(lambda before: stepped(before, name, counts, note, self._now()))
        logger.info("erasure %s, %s: %s", job.erasure.id, name, counts or note or "nothing")

    async def _release(self, job: ErasureJob, why: str, name: str = "") -> None:
        """Leave the erasure to the next look, which may be another worker's, with the reason why it waits."""

        def released(before: Erasure) -> Erasure:
            progress = before.progress or StepProgress(name=name)
            if name and progress.name != name:
                progress = StepProgress(name=name)
            # Whatever a service says may name the listener, and everybody who has the erasure's id sees it.
            shown = replaced_in(why.partition("\n")[0][:MAX_WHY], job.user_id, REDACTED)
            return structs.replace(before, lease_until=self._now(), progress=structs.replace(progress, waits_for=shown))

        with suppress(LeaseLostError, AzureError):
            await job.change(released)

    async def _renew(self, job: ErasureJob) -> None:
        """Renew the lease until cancelled. Ends where the erasure is another worker's, or can't be renewed in time."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            with suppress(AzureError):
                await job.renew()


def _log(what: str, error: Exception) -> None:
    """Log a service that is away in one line, and what nobody foresaw with where it came from."""
    line = f"{what}: {type(error).__name__}: {error}".partition("\n")[0]
    if fault_of(error) is None:
        logger.error(line, exc_info=error)
    else:
        logger.warning(line)
