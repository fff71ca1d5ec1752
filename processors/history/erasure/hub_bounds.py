"""Up to where a listener is forgotten: the end of each partition of the hub, at the moment of forgetting."""

from datetime import datetime, timedelta
from typing import Any

from azure.eventhub.aio import EventHubProducerClient
from msgspec import Struct, structs

from songline.processors.history.erasure.job import ErasureJob, StepResult
from songline.processors.runtime.resume_point import same_hub
from songline.schemas.erasures import Erasure


class HubEndState(Struct, frozen=True):
    """When the hub was created, and by partition the sequence numbers of its first and last event."""

    created_at: datetime
    partitions: dict[str, tuple[int, int]]


async def read_ends(producer: EventHubProducerClient) -> HubEndState:
    """The hub as it is. Raises EventHubError."""
    hub: dict[str, Any] = await producer.get_eventhub_properties()
    partitions = {}
    for partition in hub["partition_ids"]:
        found = await producer.get_partition_properties(partition)
        partitions[partition] = (found["beginning_sequence_number"], found["last_enqueued_sequence_number"])
    return HubEndState(hub["created_at"], partitions)


class HubBounds:
    """The step that fixes the bounds, once: what the listener does after it begins anew."""

    name = "hub"

    def __init__(self, producer: EventHubProducerClient, retention: timedelta) -> None:
        self._producer = producer
        self._retention = retention

    async def run(self, job: ErasureJob) -> StepResult:
        if job.erasure.hub_created_at is not None:
            return StepResult({})
        hub = await read_ends(self._producer)
        bounds = {partition: last for partition, (_, last) in hub.partitions.items()}
        until = job.now() + self._retention

        def fixed(erasure: Erasure) -> Erasure:
            return structs.replace(erasure, bounds=bounds, hub_created_at=hub.created_at, tail_until=until)

        await job.change(fixed)
        return StepResult({}, f"its tail ends by itself, at the latest at {until:%Y-%m-%d %H:%M:%S} UTC")


def has_ended(erasure: Erasure, hub: HubEndState) -> bool:
    """Whether the hub has none of the events up to the erasure's bounds any more."""
    if erasure.hub_created_at is None or not same_hub(erasure.hub_created_at, hub.created_at):
        return True
    return all(hub.partitions.get(partition, (bound + 1, 0))[0] > bound for partition, bound in erasure.bounds.items())
