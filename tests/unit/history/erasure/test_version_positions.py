"""The bounds of an erasure in versions that are of the same hub, of one before it, or of one that was made after it."""

from datetime import UTC, datetime, timedelta

import pytest

from songline.processors.history.erasure.places.versions import lasting_bounds, place_behind
from songline.schemas.progress import Watermark, lasting_position
from tests.unit.history.test_names_to_come import erasure

HUB = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEFORE, AFTER = HUB - timedelta(days=9), HUB + timedelta(seconds=1)


def at(position: int, created_at: datetime | None, generation: int = 0) -> Watermark:
    return Watermark(position=position, through=None, created_at=created_at, generation=generation)


@pytest.mark.parametrize(
    ("watermark", "place"),
    [
        (at(49, HUB), "49 of 50 in partition 0"),
        (at(50, HUB), ""),
        (at(49, None), "49 of 50 in partition 0"),
        (None, "-1 of 50 in partition 0"),
        # What it has of the hub before is nothing of this one, however far it was there.
        (at(9_000, BEFORE), "-1 of 50 in partition 0"),
        # It comes back to none of the hub before.
        (at(3, AFTER, 1), ""),
    ],
)
def test_a_version_is_behind_in_the_hub_that_the_bounds_are_of(watermark: Watermark | None, place: str) -> None:
    assert place_behind({} if watermark is None else {"0": watermark}, {"0": 50, "1": -1}, HUB) == place


@pytest.mark.parametrize(
    ("watermark", "theirs", "anew"),
    [
        (None, lasting_position(0, 50), lasting_position(0, 51)),
        (at(9_000, HUB), lasting_position(0, 50), lasting_position(0, 51)),
        (at(9_000, HUB, 1), lasting_position(1, 50), lasting_position(1, 51)),
        (at(9_000, None, 1), lasting_position(1, 50), lasting_position(1, 51)),
        # A version that nobody has gone on with since: all in it is from before.
        (at(9_000, BEFORE, 1), lasting_position(1, 9_000), lasting_position(2, 0)),
        # Nothing of the hub that was made since is.
        (at(3, AFTER, 1), lasting_position(0, 9_000), lasting_position(1, 0)),
    ],
)
def test_what_a_version_has_from_before_the_bounds(watermark: Watermark | None, theirs: int, anew: int) -> None:
    reached = {} if watermark is None else {"0": watermark}
    assert theirs <= lasting_bounds(reached, erasure("anna", {"0": 50}, HUB))[0] < anew


def test_a_partition_that_the_hub_got_since_has_nothing_from_before() -> None:
    reached = {"0": at(90, HUB), "1": at(70, HUB), "2": at(8, None)}
    assert lasting_bounds(reached, erasure("anna", {"0": 50}, HUB)) == {0: 50, 1: -1}
