"""Why a worker is not ready yet: first for what it waits, then what its own parts say."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

from songline.processors.runtime.access import denies
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, not_ready

log = logging.getLogger(__name__)

PAUSE = 2.0


class Readiness:
    """Not ready until all is there, and `begun`."""

    def __init__(self) -> None:
        self._cause = NotReadyCause.STARTING
        self._waits = "starting"
        self._begun = False

    def waiting(self, worker: str) -> list[NotReadyReason]:
        """What the worker still waits for before it begins, for its report; nothing once it has begun."""
        return [] if self._begun else [not_ready(worker, self._cause, self._waits)]

    async def arrived(self, *looks: Callable[[], Awaitable[object]]) -> None:
        """Returns when each of `looks` has found what it asks for; each new reason why one does not is told."""
        for look in looks:
            while error := await _missing(look):
                reason = f"waiting: {type(error).__name__} {error}".splitlines()[0]
                if reason != self._waits:
                    log.warning(reason)
                    self._waits = reason
                    self._cause = NotReadyCause.ACCESS_DENIED if denies(error) else NotReadyCause.SERVICE_AWAY
                await asyncio.sleep(PAUSE)

    def begun(self) -> None:
        """All is there; from now on the worker's parts say what is wrong."""
        self._begun = True


async def _missing(look: Callable[[], Awaitable[object]]) -> Exception | None:
    """Why what `look` asks for is not there; None when it is."""
    try:
        await look()
    except (AzureError, EventHubError, KafkaError) as error:
        return error
    return None
