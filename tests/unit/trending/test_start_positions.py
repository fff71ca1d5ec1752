"""Positions of a hub that was made anew are beyond those of the one before; what is noted and committed agree."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.processors.trending.cells.start_positions import is_noted, last_reached
from songline.processors.trending.watermark import level_and_offset, lowest_offset, position_at
from songline.schemas.progress import Watermark

NOW = datetime(2026, 11, 28, tzinfo=UTC)
levels = st.integers(0, 1_000)
offsets = st.integers(-1, 2**41)


@given(levels, offsets, levels, offsets)
def test_a_position_is_beyond_all_of_lower_levels(level: int, offset: int, other: int, another: int) -> None:
    assert level_and_offset(position_at(level, offset)) == (level, offset)
    assert (position_at(level, offset) < position_at(other, another)) == ((level, offset) < (other, another))


@given(st.lists(st.tuples(levels, offsets), min_size=1, max_size=4))
def test_the_lowest_is_none_while_somebody_is_at_a_lower_level(positions: list[tuple[int, int]]) -> None:
    found = lowest_offset([position_at(*position) for position in positions])
    same = len({level for level, _ in positions}) == 1
    assert found == (min(offset for _, offset in positions) if same else -1)


def test_positions_that_were_saved_before_there_were_levels_are_those_of_the_first() -> None:
    assert position_at(0, 17) == 17
    assert lowest_offset([17, 12]) == 12


def test_the_further_of_what_is_noted_and_what_is_committed_holds() -> None:
    noted = Watermark(position=10, through=NOW, created_at=NOW)
    assert last_reached(None, None) == Watermark(position=-1, through=None)
    assert last_reached(None, 5) == Watermark(position=4, through=None)
    assert last_reached(noted, 21) == Watermark(position=20, through=NOW, created_at=NOW)
    assert last_reached(noted, None) == noted, "the group's offsets are gone"


def test_what_an_operator_set_holds_until_a_worker_has_gone_on_from_it() -> None:
    by_hand = Watermark(position=-1, through=None, created_at=NOW, resets=1, generation=1)
    assert last_reached(by_hand, 40) == by_hand
    gone_on = Watermark(position=-1, through=NOW, created_at=NOW, resets=1, generation=1)
    found = last_reached(gone_on, 3)
    assert found is not None
    assert found.position == 2


def test_only_the_position_may_be_ahead_of_what_is_noted() -> None:
    noted = Watermark(position=10, through=NOW, created_at=NOW, resets=1, generation=1)
    assert is_noted(noted, structs.replace(noted, position=20, created_at=NOW + timedelta(microseconds=7)))


@pytest.mark.parametrize(
    "noted",
    [
        None,
        Watermark(position=10, through=None, created_at=NOW),
        Watermark(position=10, through=NOW),
        Watermark(position=10, through=NOW, created_at=NOW, resets=1),
        Watermark(position=10, through=NOW, created_at=NOW, generation=1),
    ],
)
def test_what_is_not_noted_is_saved_before_the_partition_is_read(noted: Watermark | None) -> None:
    assert not is_noted(noted, Watermark(position=20, through=NOW, created_at=NOW))
