"""What a scaler takes for the lag of a worker is what it can know by checkpoints of at most ten seconds, or of few
events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.library.process import BEHIND_FLUSH_S, FLUSH_S
from songline.processors.runtime import hub_reader
from songline.processors.runtime.hub_reader import is_checkpoint_due
from tests.support.keda import MAX_INT64, unprocessed


def test_a_checkpoint_is_never_older_than_ten_seconds_where_more_than_few_events_came() -> None:
    assert hub_reader.LONGEST_CHECKPOINT_S + max(FLUSH_S, BEHIND_FLUSH_S) <= 10
    assert hub_reader.CHECKPOINT_S <= hub_reader.LONGEST_CHECKPOINT_S
    assert is_checkpoint_due(hub_reader.CHECKPOINT_S, 5_000, 1)
    assert not is_checkpoint_due(hub_reader.CHECKPOINT_S - 0.1, 5_000, 1)


@given(st.integers(0, 10**6), st.integers(1, 32))
def test_of_all_partitions_of_a_worker_few_events_have_no_checkpoint_for_long(events: int, partitions: int) -> None:
    """A scaler wants a replica for each 5,000 events behind."""
    due = is_checkpoint_due(hub_reader.LONGEST_CHECKPOINT_S, events, partitions)
    assert due == (events * partitions >= hub_reader.FEW_EVENTS)
    assert due or events * partitions <= 5_000 // 4
    assert is_checkpoint_due(hub_reader.FEW_CHECKPOINT_S, events, partitions)


@pytest.mark.parametrize(
    ("begin", "last", "checkpoint", "count"),
    [
        (0, -1, None, 0),
        (0, 0, None, 1),
        (0, 9, None, 10),
        (5, 5, None, 0),
        (6, 9, None, 4),
        (0, 9, 9, 0),
        (0, 9, 3, 6),
        (0, 9, -1, 10),
        # What the scaler was told of the partition is older than the checkpoint.
        (0, 9, 12, 0),
        (0, 5, MAX_INT64 - 15, 20),
    ],
)
def test_the_formula(begin: int, last: int, checkpoint: int | None, count: int) -> None:
    assert unprocessed(begin, last, checkpoint) == count
