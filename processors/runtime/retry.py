"""Trying until it is done: what is written later must not overtake what could not be written."""

import logging
import time
from collections.abc import Awaitable, Callable

from azure.core.exceptions import HttpResponseError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from songline.processors.runtime.service_errors import SERVICE_ERRORS, ItemRefusedError, ServiceFault, access, fault
from songline.schemas.progress_report import NotReadyCause

log = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0

_growing = wait_exponential_jitter(multiplier=0.2, max=LONGEST_PAUSE)


class Patience:
    """That of one partition. `trouble` is what it waits for now, `cause` what kind of trouble that is.

    `steady` gives seconds.
    """

    def __init__(self, name: str, steady: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._steady = steady
        self._stuck_since: float | None = None
        self.trouble = ""
        self.cause = NotReadyCause.SERVICE_AWAY

    def stuck(self) -> float:
        """For how many seconds it has been waiting."""
        return 0.0 if self._stuck_since is None else self._steady() - self._stuck_since

    async def insist(self, job: Callable[[], Awaitable[None]], item: bool = False) -> None:
        """Try `job` until it is done; after a refusal that says when to come again, not before that. Only being
        cancelled ends it otherwise, and where `job` writes an `item`, that being refused: raises ItemRefusedError."""

        def passes(error: BaseException) -> bool:
            if not isinstance(error, SERVICE_ERRORS):
                return False
            return not (item and fault(error) is ServiceFault.ITEM_REFUSED)

        try:
            await AsyncRetrying(retry=retry_if_exception(passes), wait=_pause, before_sleep=self._tell)(job)
        except SERVICE_ERRORS as error:
            raise ItemRefusedError(f"{type(error).__name__}: {error}") from error
        finally:
            self._stuck_since = None

    def _tell(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert isinstance(error, Exception)
        if fault(error) is ServiceFault.ACCESS_DENIED:
            self.cause = NotReadyCause.ACCESS_DENIED
        else:
            # A service that answers is there: its disk may be full, or its throughput used up.
            answers = isinstance(error, HttpResponseError) and error.status_code is not None
            self.cause = NotReadyCause.WRITES_REFUSED if answers else NotReadyCause.SERVICE_AWAY
        self.trouble = f"{type(error).__name__}: {error}".splitlines()[0]
        if self.cause is NotReadyCause.ACCESS_DENIED:
            self.trouble += f"; see {access(error)}"
        if self._stuck_since is None:
            self._stuck_since = self._steady()
            log.warning("%s waits: %s", self._name, self.trouble)


def _pause(state: RetryCallState) -> float:
    assert state.outcome is not None
    headers = getattr(state.outcome.exception(), "headers", None) or {}
    asked = headers.get("x-ms-retry-after-ms", "")
    return max(_growing(state), float(asked) / 1000 if str(asked).isdecimal() else 0.0)
