"""The retries of one partition: a write is repeated until it is done, since no later write may overtake it."""

import logging
import time
from collections.abc import Awaitable, Callable

from azure.core.exceptions import HttpResponseError

from songline.cloud.retry import FailedTry, RetryPolicy, retry
from songline.cloud.service_fault import ServiceFault, access_hint, fault_of
from songline.processors.runtime.service_errors import ItemRefusedError, last_line
from songline.schemas.progress_report import NotReadyCause

log = logging.getLogger(__name__)

POLICY = RetryPolicy(first_pause_s=0.2, longest_pause_s=5.0)


class PersistentRetry:
    """The retries of what `name` says. `trouble` is the last failure in a line, `cause` what it means for readiness.

    `steady` gives seconds.
    """

    def __init__(self, name: str, steady: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._steady = steady
        self._failing_since_s: float | None = None
        self.trouble = ""
        self.cause = NotReadyCause.SERVICE_AWAY

    def failing_for_s(self) -> float:
        """For how many seconds the present call has failed; 0 where none has."""
        return 0.0 if self._failing_since_s is None else self._steady() - self._failing_since_s

    async def run(self, call: Callable[[], Awaitable[None]], *, writes_item: bool = False) -> None:
        """Return when `call` is done; any fault of a service is waited out.

        Where `call` writes an item that the service refuses, that ends it: raises ItemRefusedError. Errors that are not
        of a service are raised as they are.
        """

        def retries(error: Exception) -> bool:
            fault = fault_of(error)
            return fault is not None and not (writes_item and fault is ServiceFault.ITEM_REFUSED)

        try:
            await retry(call, POLICY, retries, self._record)
        except Exception as error:
            if fault_of(error) is ServiceFault.ITEM_REFUSED:
                raise ItemRefusedError(f"{type(error).__name__}: {error}") from error
            raise
        finally:
            self._failing_since_s = None

    def _record(self, failed: FailedTry) -> None:
        error = failed.error
        self.trouble = last_line(error)
        if fault_of(error) is ServiceFault.ACCESS_DENIED:
            self.cause = NotReadyCause.ACCESS_DENIED
            self.trouble += f"; see {access_hint(error)}"
        else:
            # A service that answers is there: its disk may be full, or its throughput used up.
            answers = isinstance(error, HttpResponseError) and error.status_code is not None
            self.cause = NotReadyCause.WRITES_REFUSED if answers else NotReadyCause.SERVICE_AWAY
        if self._failing_since_s is None:
            self._failing_since_s = self._steady()
            log.warning("%s waits: %s", self._name, self.trouble)
