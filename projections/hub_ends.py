"""Where the partitions of `music-events` end: a projection that has applied all events of an idle hub is not stale."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError
from msgspec import Struct

from songline.cloud import eventhubs

log = logging.getLogger(__name__)

KEPT_S = 1.0
"""Seconds for which the hub is not asked again. A question for each partition takes the hub some milliseconds."""

SAMPLES = 16
"""So many answers are kept: a worker that writes what it has applied every few seconds has reached an earlier one."""

PATIENCE_S = 3.0


class HubEndsSample(Struct, frozen=True):
    """The sequence number of the last event by partition, -1 for none. `asked_at`: the hub had no other events then."""

    created_at: datetime
    asked_at: datetime
    ends: Mapping[str, int]


class HubEndsReader:
    """Asks the hub through `client`, at most once in KEPT_S. `now` is the wall clock's, `steady` returns monotonic
    seconds."""

    def __init__(
        self, client: EventHubConsumerClient, now: Callable[[], datetime], steady: Callable[[], float]
    ) -> None:
        self._client = client
        self._now, self._steady = now, steady
        self._samples: deque[HubEndsSample] = deque(maxlen=SAMPLES)
        self._asked_s: float | None = None
        self._asking: asyncio.Task[None] | None = None

    async def read(self) -> Sequence[HubEndsSample]:
        """The last answers, newest first; without a new one if the hub doesn't answer."""
        if self._asked_s is None or self._steady() - self._asked_s >= KEPT_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            # Requests that come meanwhile share the question; one that is cancelled must not cancel it for the others.
            await asyncio.shield(self._asking)
        return tuple(reversed(self._samples))

    async def close(self) -> None:
        """Give up a question that has no answer yet."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        asked_at = self._now()
        try:
            async with asyncio.timeout(PATIENCE_S):
                hub = await self._client.get_eventhub_properties()
                ends = {one: await self._last(one) for one in hub["partition_ids"]}
        except (EventHubError, TimeoutError) as error:
            log.info("the hub does not say where it ends: %s", error)
        else:
            self._samples.append(HubEndsSample(hub["created_at"], asked_at, ends))
        self._asked_s = self._steady()

    async def _last(self, partition: str) -> int:
        _, last = eventhubs.partition_ends(await self._client.get_partition_properties(partition))
        return last
