"""The creation time of the hub `music-events`: positions of an earlier hub of that name don't apply to it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError
from starlette.datastructures import State

log = logging.getLogger(__name__)

KEPT_S = 1.0
"""Seconds for which an answer is cached. A namespace takes longer to delete a hub and create it again."""

PATIENCE_S = 3.0


class HubCreation:
    """Reads the creation time through `client`, at most once in KEPT_S; `steady` returns monotonic seconds.

    `known` is the last answer, None before the first one.
    """

    def __init__(self, client: EventHubConsumerClient, steady: Callable[[], float]) -> None:
        self._client = client
        self._steady = steady
        self._read_s: float | None = None
        self._one = asyncio.Lock()
        self.known: datetime | None = None

    async def created_at(self) -> datetime | None:
        """The creation time, at most KEPT_S old; the last known one if the hub doesn't answer."""
        async with self._one:
            if self._read_s is None or self._steady() - self._read_s >= KEPT_S:
                read_s = self._steady()
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        self.known = (await self._client.get_eventhub_properties())["created_at"]
                except (EventHubError, TimeoutError) as error:
                    log.info("the creation time of the hub could not be read: %s", error)
                self._read_s = read_s
            return self.known


def known(state: State) -> datetime | None:
    """The last known creation time in an app's state, without a request; None if it is unknown."""
    hub: HubCreation | None = state.hub
    return None if hub is None else hub.known
