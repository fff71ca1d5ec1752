"""What a scaler takes for the lag of a worker is what it can know by checkpoints of at most ten seconds."""

import pytest

from songline.processors.library.process import BEHIND_FLUSH_S, FLUSH_S
from songline.processors.runtime import hub_reader
from tests.support.keda import MAX_INT64, unprocessed


def test_a_checkpoint_is_never_older_than_ten_seconds() -> None:
    assert hub_reader.LONGEST_CHECKPOINT_S + max(FLUSH_S, BEHIND_FLUSH_S) <= 10
    assert hub_reader.CHECKPOINT_S <= hub_reader.LONGEST_CHECKPOINT_S


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
