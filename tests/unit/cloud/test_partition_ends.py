"""Where a partition begins and ends, also where retention has deleted all of it: the same for all who ask."""

from datetime import UTC, datetime
from typing import Any

import pytest
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from songline.cloud import eventhubs
from songline.cloud.settings import read_eventhubs
from songline.processors.history.erasure.hub_bounds import HubEndState, has_ended, read_ends
from songline.repair.parked_bodies import BodyGoneError, ParkedBodies
from songline.schemas.erasures import Erasure
from songline.schemas.parked import parked_event

NOW = datetime(2026, 11, 29, tzinfo=UTC)
HUB = read_eventhubs(
    {
        "AZURE_EVENTHUB_CONNECTIONSTRING": "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=R;SharedAccessKey=S;"
        "UseDevelopmentEmulator=true"
    }
)
EMPTIED = [(0, 41), (42, 41), (42, -1), (42, 42)]
"""First and last positions that a partition without events may tell, once it had 42."""


def properties(first: int, last: int, *, is_empty: bool) -> dict[str, Any]:
    return {"beginning_sequence_number": first, "last_enqueued_sequence_number": last, "is_empty": is_empty}


async def describe(*_: object) -> dict[str, Any]:
    return {"created_at": NOW, "partition_ids": ["0"]}


@pytest.mark.parametrize(("first", "last"), EMPTIED)
async def test_of_an_emptied_partition_nothing_is_left_to_erase(
    monkeypatch: pytest.MonkeyPatch, first: int, last: int
) -> None:
    async def ends(*_: object) -> dict[str, Any]:
        return properties(first, last, is_empty=True)

    monkeypatch.setattr(EventHubProducerClient, "get_eventhub_properties", describe)
    monkeypatch.setattr(EventHubProducerClient, "get_partition_properties", ends)
    async with eventhubs.producer(HUB, "music-events") as producer:
        hub = await read_ends(producer)
    begin, end = hub.partitions["0"]
    assert begin == end + 1
    assert end >= 41
    erasure = Erasure(
        id="e", state="done", songs="keep", requested_at=NOW, due_at=NOW, by="b", bounds={"0": 41}, hub_created_at=NOW
    )
    assert has_ended(erasure, hub)
    assert not has_ended(erasure, HubEndState(NOW, {"0": eventhubs.partition_ends(properties(3, 50, is_empty=False))}))


@pytest.mark.parametrize(("first", "last"), EMPTIED)
async def test_a_body_that_an_emptied_partition_had_is_gone(
    monkeypatch: pytest.MonkeyPatch, first: int, last: int
) -> None:
    async def ends(*_: object) -> dict[str, Any]:
        return properties(first, last, is_empty=True)

    monkeypatch.setattr(EventHubConsumerClient, "get_eventhub_properties", describe)
    monkeypatch.setattr(EventHubConsumerClient, "get_partition_properties", ends)
    parked = parked_event("library", "music-events", "0", 41, NOW, bytes(2_000_000), "x", "y", NOW)
    with pytest.raises(BodyGoneError, match="partition 0 of hub music-events has no events"):
        await ParkedBodies(HUB).read(parked)
