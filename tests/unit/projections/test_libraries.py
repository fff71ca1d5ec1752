"""What lists are asked for, their cursors, and positions that are waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.projections.library.queries import (
    FILTERS,
    SORTS,
    Filter,
    LibraryCursorError,
    Sort,
    cursor,
    library_query,
    query,
)
from songline.projections.read_your_writes import BehindError, PositionError, parse, reaching

PLACES = {"byRecent": ["2026-11-22T12:00:00.000000+00:00 song-42"], "title": ["0", "paper lanterns", "song-42"]}


@pytest.mark.parametrize("filter", [None, *FILTERS])
@pytest.mark.parametrize("sort", SORTS)
def test_a_cursor_leads_back_to_its_place_in_its_own_list_only(filter: Filter | None, sort: Sort) -> None:  # noqa: A002
    field = library_query(filter, sort, None).field
    place = PLACES["title" if sort == "title" else "byRecent"]
    assert library_query(filter, sort, cursor(field, *place)).after == tuple(place)
    other: Sort = "plays" if sort == "recent" else "recent"
    with pytest.raises(LibraryCursorError):
        library_query(filter, other, cursor(field, *place))


@pytest.mark.parametrize(
    "text", ["", "a", "é", "bm9uc2Vuc2U", "////", cursor("byRecent"), cursor("byRecent", "a", "b")]
)
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(LibraryCursorError):
        library_query(None, "recent", text)


@given(st.text(max_size=50))
def test_any_cursor_is_read_or_refused(text: str) -> None:
    try:
        library_query(None, "title", text)
    except LibraryCursorError:
        return


def test_what_a_cursor_holds_is_no_part_of_the_query() -> None:
    text, parameters = query(library_query("liked", "recent", cursor("byLiked", "'; --")))
    assert "'" not in text
    assert parameters == [{"name": "@after", "value": "'; --"}]


def test_positions_are_parsed_and_the_greater_of_two_holds() -> None:
    assert parse(None) == {}
    assert parse("2:1203, 3:88,2:7") == {"2": 1203, "3": 88}


@pytest.mark.parametrize("text", ["", "2", "2:", ":3", "2:-1", "2:1,", "a:1", "2:1;3:4", "2:²", "1" * 30 + ":1"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PositionError):
        parse(text)


async def test_an_answer_comes_when_it_is_far_enough() -> None:
    seen = iter([{}, {"2": 6}, {"2": 7, "3": 0}])

    async def look() -> dict[str, int]:
        return next(seen)

    assert await reaching("view", look, lambda found: found, {"2": 7}, wait=5) == {"2": 7, "3": 0}


async def test_who_waits_for_too_long_is_told_for_what() -> None:
    async def look() -> dict[str, int]:
        return {"2": 6}

    with pytest.raises(
        BehindError, match="libraries: partition 2 is at 6, wanted 7; partition 3 is at no position, wanted 1"
    ):
        await reaching("libraries", look, lambda found: found, {"2": 7, "3": 1}, wait=0)
