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

LOOK_S = 5.0
"""Seconds after which the hub is asked again for reads that don't wait for it, as often as workers ask."""

PATIENCE_S = 3.0


class HubCreation:
    """Reads the creation time through `client`, at most once in KEPT_S; `steady` returns monotonic seconds."""

    def __init__(self, client: EventHubConsumerClient, steady: Callable[[], float]) -> None:
        self._client = client
        self._steady = steady
        self._known: datetime | None = None
        self._asked_s: float | None = None
        self._asking: asyncio.Task[None] | None = None

    async def created_at(self) -> datetime | None:
        """The creation time, at most KEPT_S old; the last known one if the hub doesn't answer, None if it never did."""
        if self._is_older(KEPT_S):
            # Requests that come meanwhile share the question; one that is cancelled must not cancel it for the others.
            await asyncio.shield(self._ask_once())
        return self._known

    def latest(self) -> datetime | None:
        """The last known creation time, None before the first. Where it is LOOK_S old, the hub is asked meanwhile."""
        if self._is_older(LOOK_S):
            self._ask_once()
        return self._known

    async def close(self) -> None:
        """Give up a question that has no answer yet."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _is_older(self, age_s: float) -> bool:
        return self._asked_s is None or self._steady() - self._asked_s >= age_s

    def _ask_once(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return self._asking

    async def _ask(self) -> None:
        asked_s = self._steady()
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._known = (await self._client.get_eventhub_properties())["created_at"]
        except (EventHubError, TimeoutError) as error:
            log.info("the creation time of the hub could not be read: %s", error)
            # Who comes now would wait as long for nothing.
            asked_s = self._steady()
        self._asked_s = asked_s


def known(state: State) -> datetime | None:
    """The last known creation time in an app's state, without waiting; None if it is unknown."""
    hub: HubCreation | None = state.hub
    return None if hub is None else hub.latest()
