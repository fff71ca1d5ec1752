"""Trying until it is done: what is written later must not overtake what could not be written."""

import logging
import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError
from azure.core.exceptions import AzureError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

log = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0

_growing = wait_exponential_jitter(multiplier=0.2, max=LONGEST_PAUSE)


class Patience:
    """That of one partition. `trouble` is what it waits for now; `steady` gives seconds."""

    def __init__(self, name: str, steady: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._steady = steady
        self._stuck_since: float | None = None
        self.trouble = ""

    def stuck(self) -> float:
        """For how many seconds it has been waiting."""
        return 0.0 if self._stuck_since is None else self._steady() - self._stuck_since

    async def insist(self, job: Callable[[], Awaitable[None]]) -> None:
        """Try `job` until it is done; after a refusal that says when to come again, not before that. Only being
        cancelled ends it otherwise."""
        away = retry_if_exception_type((AzureError, KafkaError))
        await AsyncRetrying(retry=away, wait=_pause, before_sleep=self._tell)(job)
        self._stuck_since = None

    def _tell(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        error = state.outcome.exception()
        self.trouble = f"{type(error).__name__}: {error}".splitlines()[0]
        if self._stuck_since is None:
            self._stuck_since = self._steady()
            log.warning("%s waits: %s", self._name, self.trouble)


def _pause(state: RetryCallState) -> float:
    assert state.outcome is not None
    headers = getattr(state.outcome.exception(), "headers", None) or {}
    asked = headers.get("x-ms-retry-after-ms", "")
    return max(_growing(state), float(asked) / 1000 if str(asked).isdecimal() else 0.0)
