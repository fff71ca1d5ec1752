"""Up to where a listener is forgotten: the end of each partition of the hub, at the moment of forgetting."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from azure.eventhub.aio import EventHubProducerClient
from msgspec import Struct, structs

from songline.cloud import eventhubs
from songline.processors.history.erasure.job import ErasureJob, NotYetError, StepResult
from songline.processors.runtime.resume_point import same_hub
from songline.schemas.erasures import Erasure

PAUSE_S = 0.5


class HubEndState(Struct, frozen=True):
    """When the hub was created, and by partition the sequence numbers of its first and last event. The last one of an
    empty partition is before its first."""

    created_at: datetime
    partitions: dict[str, tuple[int, int]]

    @property
    def bounds(self) -> dict[str, int]:
        """The last sequence number by partition."""
        return {partition: last for partition, (_, last) in self.partitions.items()}


async def read_ends(producer: EventHubProducerClient) -> HubEndState:
    """The hub as it is. Raises EventHubError."""
    hub: dict[str, Any] = await producer.get_eventhub_properties()
    partitions = {
        partition: eventhubs.partition_ends(await producer.get_partition_properties(partition))
        for partition in hub["partition_ids"]
    }
    return HubEndState(hub["created_at"], partitions)


class SettledUploads(Struct, frozen=True):
    """How much was withdrawn now, and what is left, by id; `recent` are the ids of the last day's uploads, `imports`
    those of its imports."""

    withdrawn: int
    left: Mapping[str, str]
    recent: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


class ListenersSongs(Protocol):
    """What a listener has uploaded: withdrawn before the bounds, whatever came in meanwhile."""

    async def settle(self, job: ErasureJob) -> SettledUploads:
        """Withdraw what is to be withdrawn. Raises NotYetError."""

    async def behind(self, hub: HubEndState) -> str:
        """Why it is not known yet which songs are theirs up to the hub's end, as a sentence; empty where it is."""


class RebuiltVersions(Protocol):
    """The versions of a projection whose rebuilds fold a listener's events under one name."""

    async def under_way(self, now: datetime) -> str:
        """Which version a rebuild writes at the moment, as a sentence; empty for none."""


class HubBounds:
    """The step that fixes the bounds, once: what the listener does after it begins anew.

    From then on readers of the history find other names. A rebuild of `rebuilt` would begin anew for that, so it is
    waited for.

    A removal of a song has to come before the bounds, since it is their owner's. So the bounds hold only if everything
    up to them was withdrawn before; `patience_s` is how long the step waits to know that.
    """

    name = "hub"

    def __init__(
        self,
        producer: EventHubProducerClient,
        retention: timedelta,
        songs: ListenersSongs,
        rebuilt: Sequence[RebuiltVersions],
        patience_s: float = 10.0,
    ) -> None:
        self._producer = producer
        self._retention = retention
        self._songs = songs
        self._rebuilt = rebuilt
        self._patience_s = patience_s

    async def run(self, job: ErasureJob) -> StepResult:
        if job.erasure.hub_created_at is not None:
            return StepResult({})
        for projection in self._rebuilt:
            if building := await projection.under_way(job.now()):
                raise NotYetError(building)
        before = await self._songs.settle(job)
        hub = await read_ends(self._producer)
        await self._wait(hub)
        after = await self._songs.settle(job)
        if after.withdrawn or after.left != before.left:
            raise NotYetError("what they uploaded meanwhile is withdrawn first")
        until = job.now() + self._retention

        def fixed(erasure: Erasure) -> Erasure:
            return structs.replace(
                erasure,
                bounds=hub.bounds,
                hub_created_at=hub.created_at,
                tail_until=until,
                uploads=after.recent,
                imports=after.imports,
            )

        await job.change(fixed)
        return StepResult({}, f"its tail ends by itself, at the latest at {until:%Y-%m-%d %H:%M:%S} UTC")

    async def _wait(self, hub: HubEndState) -> None:
        """Wait until it is known which songs were theirs up to the hub's end."""
        pauses = round(self._patience_s / PAUSE_S)
        while behind := await self._songs.behind(hub):
            if not pauses:
                raise NotYetError(behind)
            pauses -= 1
            await asyncio.sleep(PAUSE_S)


def has_ended(erasure: Erasure, hub: HubEndState) -> bool:
    """Whether the hub has none of the events up to the erasure's bounds any more."""
    if erasure.hub_created_at is None or not same_hub(erasure.hub_created_at, hub.created_at):
        return True
    return all(hub.partitions.get(partition, (bound + 1, 0))[0] > bound for partition, bound in erasure.bounds.items())
