"""Why a worker is not ready before it begins: it is starting, or something that it needs is not there."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from songline.cloud.retry import FailedTry, RetryPolicy, retry
from songline.cloud.service_fault import fault_of, is_denied
from songline.processors.runtime.service_errors import last_line
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, not_ready
from songline.schemas.projections import DamagedVersionError

log = logging.getLogger(__name__)

POLICY = RetryPolicy(first_pause_s=4.0, longest_pause_s=4.0)

T = TypeVar("T")


class Readiness:
    """Not ready until `begin` is called."""

    def __init__(self) -> None:
        self._cause = NotReadyCause.STARTING
        self._waiting_for = "starting"
        self._begun = False

    def reasons(self, worker: str) -> list[NotReadyReason]:
        """What `worker` waits for before it begins, for its report; nothing once it has begun."""
        return [] if self._begun else [not_ready(worker, self._cause, self._waiting_for)]

    async def wait_for(self, look: Callable[[], Awaitable[T]]) -> T:
        """What `look` returns, called until no service fails it and the live version is known. Each new failure is
        logged."""
        return await retry(look, POLICY, _is_waited_out, self._record)

    async def wait_for_all(self, *looks: Callable[[], Awaitable[object]]) -> None:
        """Return when each of `looks` has returned; they are called one after another."""
        for look in looks:
            await self.wait_for(look)

    def say(self, sentence: str) -> None:
        """Report `sentence`: what is done at the moment, before the worker begins."""
        self._cause, self._waiting_for = NotReadyCause.CONVERTING, sentence

    def begin(self) -> None:
        """All is there; from now on the worker's parts say what is wrong."""
        self._begun = True

    def _record(self, failed: FailedTry) -> None:
        reason = f"waiting: {last_line(failed.error)}"
        if reason != self._waiting_for:
            log.warning(reason)
            self._waiting_for = reason
            if isinstance(failed.error, DamagedVersionError):
                self._cause = NotReadyCause.VERSION_UNKNOWN
            else:
                self._cause = NotReadyCause.ACCESS_DENIED if is_denied(failed.error) else NotReadyCause.SERVICE_AWAY


def _is_waited_out(error: Exception) -> bool:
    return isinstance(error, DamagedVersionError) or fault_of(error) is not None
