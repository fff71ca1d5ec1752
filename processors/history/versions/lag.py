"""How far a version is behind the hub: by its watermarks, against the hub as it is now."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError
from msgspec import Struct

from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.resume_point import HubMismatch, HubState, missing_partitions, resume_point
from songline.schemas.progress import Watermark

_PATIENCE_S = 5.0


class VersionLag(Struct, frozen=True):
    """How far a version is behind: `events` that it has not applied, the oldest of which the hub took `age_s` seconds
    ago, 0 where there is none. `gone`: why it can't go on from where it is, empty where it can."""

    events: int
    age_s: float
    gone: str = ""

    def __str__(self) -> str:
        if self.gone:
            return self.gone
        if not self.events:
            return "nothing behind"
        return f"{self.events:,} events behind, the oldest {self.age_s:.0f} s old"


class LagMeter:
    """Measures versions of `hub` by a client of that hub, which reads nothing else. `now` gives the time of day."""

    def __init__(self, hub: str, client: EventHubConsumerClient, now: Callable[[], datetime]) -> None:
        self._hub = hub
        self._client = client
        self._metadata = HubMetadata(client)
        self._now = now

    async def measure(self, watermarks: Mapping[str, Watermark]) -> VersionLag:
        """The lag of a version with these watermarks. Raises EventHubError."""
        described = await self._metadata.describe()
        events, age_s = 0, 0.0
        gone = [mismatch.sentence for mismatch in self._missing(watermarks, described.partitions)]
        for partition in sorted(described.partitions, key=int):
            watermark = watermarks.get(partition) or Watermark(position=-1, through=None)
            state = HubState(described.created_at, *await self._metadata.read_ends(partition))
            found = resume_point(watermark, state, f"{self._hub}/{partition}")
            if isinstance(found, HubMismatch):
                gone.append(found.sentence)
                continue
            first = found.next_position
            if watermark.position < 0 and state.first > 0:
                gone.append(f"{self._hub}/{partition}: nothing is applied, and the hub begins at {state.first}")
            if first > state.last:
                continue
            events += state.last - first + 1
            taken_at = await self._enqueued_at(partition, first) or watermark.through
            # Nothing is known of when: as old as can be.
            age_s = max(age_s, float("inf") if taken_at is None else (self._now() - taken_at).total_seconds())
        return VersionLag(events, age_s, "; ".join(gone))

    def _missing(self, watermarks: Mapping[str, Watermark], partitions: frozenset[str]) -> list[HubMismatch]:
        applied = {partition: one for partition, one in watermarks.items() if one.position >= 0}
        return list(missing_partitions(applied, partitions, self._hub).values())

    async def _enqueued_at(self, partition: str, position: int) -> datetime | None:
        """When the hub took the event at a position; None where it does not give it."""
        first: asyncio.Future[EventData] = asyncio.get_running_loop().create_future()

        async def take(_: object, events: list[EventData]) -> None:
            if events and not first.done():
                first.set_result(events[0])

        receiving = asyncio.create_task(
            self._client.receive_batch(
                take,
                partition_id=partition,
                starting_position=position,
                starting_position_inclusive=True,
                max_batch_size=1,
                prefetch=1,
            )
        )
        try:
            await asyncio.wait((receiving, first), timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            receiving.cancel()
            with suppress(asyncio.CancelledError, EventHubError):
                await receiving
        return first.result().enqueued_time if first.done() else None
