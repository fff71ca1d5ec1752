"""When a reader of a hub commits, and how much it gives to a partition's reader at a time."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.amqp.message import section
from localcloud.amqp.types import Symbol, Timestamp
from songline.cloud.eventhub_frames import ReceivedEvent
from songline.processors.runtime.hub_reader import PORTION, HubReader
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.owned_partition import OwnedPartition
from songline.processors.runtime.projection_config import ProjectionConfig

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)


class _Clock:
    now_s = 1_000.0


class _PartitionReader:
    """Takes all that it is given, and is never full."""

    partition, place, mismatch, is_full, next_position = "0", "music-events/0", None, False, 0

    def __init__(self, *, folds_in_pieces: bool) -> None:
        self.folds_in_pieces = folds_in_pieces
        self.given: list[int] = []

    async def process(self, records: list[HubRecord]) -> None:
        self.given.append(len(records))
        self.next_position = records[-1].position + 1


def reader_of(behind_flush_s: float, clock: Any) -> HubReader:
    shared: Any = SimpleNamespace(
        reader="library", hub="music-events", steady=lambda: clock.now_s, now=lambda: NOW,
        bound=SimpleNamespace(reason=""),
    )  # fmt: skip
    return HubReader(SimpleNamespace(), shared, ProjectionConfig(flush_s=1.0), {}, str, behind_flush_s)  # type: ignore[arg-type]


def event_at(position: int) -> ReceivedEvent:
    annotations: Any = {
        Symbol("x-opt-sequence-number"): position,
        Symbol("x-opt-enqueued-time"): Timestamp(int(NOW.timestamp() * 1_000)),
        Symbol("x-opt-offset"): str(position),
    }
    return ReceivedEvent(section(0x72, annotations) + section(0x75, b"{}"))


@pytest.mark.parametrize(
    ("behind_flush_s", "age_s", "due_s"), [(0, 0, 1), (0, 60, 1), (3, 0, 1), (3, 9, 1), (3, 11, 3), (3, None, 1)]
)
def test_far_behind_a_projection_is_flushed_as_often_as_it_says(
    behind_flush_s: float, age_s: float | None, due_s: int
) -> None:
    reader = reader_of(behind_flush_s, clock := _Clock())
    owned: Any = SimpleNamespace(reader=SimpleNamespace(is_full=False), committed_s=999.0)
    newest_at = None if age_s is None else NOW - timedelta(seconds=age_s)
    due = []
    for second in range(7):
        clock.now_s = 999.0 + second
        due.append(reader._is_commit_due(owned, newest_at))
    assert due.index(True) == due_s
    owned.committed_s, owned.reader.is_full = clock.now_s, True
    assert reader._is_commit_due(owned, newest_at)


@pytest.mark.parametrize(("in_pieces", "given"), [(False, [PORTION] * 4 + [50]), (True, [450])])
async def test_pieces_are_given_the_whole_batch_to_grow_in(in_pieces: bool, given: list[int]) -> None:
    reader = reader_of(0, _Clock())
    owned = OwnedPartition(partition_reader := _PartitionReader(folds_in_pieces=in_pieces))  # type: ignore[arg-type]
    owned.committed_s = owned.checked_s = _Clock.now_s
    context: Any = SimpleNamespace(partition_id="0")
    await reader._process(context, owned, [event_at(position) for position in range(450)])
    assert partition_reader.given == given
