"""When the hub `music-events` was created: positions of a hub of that name that was there before say nothing of it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError
from starlette.datastructures import State

log = logging.getLogger(__name__)

KEPT_S = 1.0
"""A hub can't be made anew in less: its namespace takes longer to delete one."""

PATIENCE_S = 3.0


class HubCreation:
    """Asks the hub through `client`, at most once in KEPT_S; `steady` gives seconds.

    `known` is the last answer, None while there was none.
    """

    def __init__(self, client: EventHubConsumerClient, steady: Callable[[], float]) -> None:
        self._client = client
        self._steady = steady
        self._asked_s: float | None = None
        self._one = asyncio.Lock()
        self.known: datetime | None = None

    async def created_at(self) -> datetime | None:
        """When the hub was created, as it says now or said within KEPT_S; where it gives no answer, what is known."""
        async with self._one:
            if self._asked_s is None or self._steady() - self._asked_s >= KEPT_S:
                asked_s = self._steady()
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        self.known = (await self._client.get_eventhub_properties())["created_at"]
                except (EventHubError, TimeoutError) as error:
                    log.info("the hub does not say when it was created: %s", error)
                self._asked_s = asked_s
            return self.known


def known(state: State) -> datetime | None:
    """What is known of it without asking, by an app's state; None where nothing is."""
    hub: HubCreation | None = state.hub
    return None if hub is None else hub.known
