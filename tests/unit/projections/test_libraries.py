"""The lists of libraries and their cursors, and positions that are waited for."""

from base64 import urlsafe_b64encode
from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.projections.library.lists import (
    FILTERS,
    SORTS,
    Filter,
    LibraryCursorError,
    LibraryLists,
    LibraryQuery,
    Sort,
    cursor_after,
    cursor_after_title,
    library_query,
)
from songline.projections.read_your_writes import BehindError, PositionError, parse, reaching
from songline.schemas.library.fold import FoldedLibrary, FoldedSong

MOMENT_US = 1_795_348_800_123_456
FIELDS = {"recent": "byRecent", "plays": "byPlays", "title": "title"}


def song(
    song_id: str,
    plays: int = 0,
    last_us: int | None = None,
    liked_us: int | None = None,
    uploaded_us: int | None = None,
) -> FoldedSong:
    return FoldedSong(song_id, plays, 40_000 * plays, last_us, last_us, liked_us, uploaded_us)


def library(*songs: FoldedSong) -> LibraryLists:
    ordered = tuple(sorted(songs, key=lambda each: each.song_id))
    return LibraryLists(FoldedLibrary(ordered, 0, 0, 0, 0, 0, None, None, ()))


def cursor(*parts: str) -> str:
    """A cursor with this content."""
    return urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def ids(lists: LibraryLists, query: LibraryQuery) -> list[str]:
    return [each.song_id for each in lists.following(query)]


def test_each_list_has_its_songs_in_its_order() -> None:
    lists = library(
        song("heard", 3, 50),
        song("loved", 1, 10, liked_us=90),
        song("liked", liked_us=70),
        song("mine", uploaded_us=20),
        song("both", liked_us=5, uploaded_us=60),
    )

    def listed(filter: Filter | None, sort: Sort = "recent") -> list[str]:  # noqa: A002
        return ids(lists, LibraryQuery(filter, sort))

    # A song that was never played is as recent as its last like or upload.
    assert listed(None) == ["liked", "both", "heard", "mine", "loved"]
    assert listed("played") == ["heard", "loved"]
    assert listed("liked") == ["loved", "liked", "both"]
    assert listed("uploaded") == ["both", "mine"]
    assert listed(None, "plays") == ["heard", "loved", "mine", "liked", "both"]
    assert listed("liked", "plays") == ["loved", "liked", "both"]
    assert sorted(listed("liked", "title")) == ["both", "liked", "loved"]


@pytest.mark.parametrize("filter", [None, *FILTERS])
@pytest.mark.parametrize("sort", ["recent", "plays"])
@given(data=st.data())
def test_pages_are_the_list_in_pieces(filter: Filter | None, sort: Sort, data: st.DataObject) -> None:  # noqa: A002
    moments = st.none() | st.integers(-(10**15), 10**15)
    rows = data.draw(
        st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 2), moments, moments, moments))
    )
    # A song with plays has a last one.
    songs = [
        song(key, plays, last_us or 0 if plays else None, *flags) for key, (plays, last_us, *flags) in rows.items()
    ]
    lists = library(*(each for each in songs if each.recent_us is not None))
    whole = list(lists.following(LibraryQuery(filter, sort)))
    size, paged, query = data.draw(st.integers(1, 4)), [], LibraryQuery(filter, sort)
    while some := list(islice(lists.following(query), size)):
        paged += some
        query = library_query(filter, sort, cursor_after(query, some[-1]))
    assert paged == whole


def test_a_song_that_is_played_between_two_pages_moves_no_other() -> None:
    before = library(song("a", 1, 10), song("b", 1, 20), song("c", 1, 30), song("d", 1, 40))
    query = LibraryQuery(None, "recent")
    first = list(islice(before.following(query), 2))
    after = library(song("a", 2, 50), song("b", 1, 20), song("c", 1, 30), song("d", 1, 40), song("e", 1, 60))
    assert [each.song_id for each in first] == ["d", "c"]
    assert ids(after, library_query(None, "recent", cursor_after(query, first[-1]))) == ["b"]


@pytest.mark.parametrize("filter", [None, *FILTERS])
@pytest.mark.parametrize("sort", SORTS)
def test_a_cursor_is_of_its_own_list_only(filter: Filter | None, sort: Sort) -> None:  # noqa: A002
    query = library_query(filter, sort, None)
    one = song("song-42", 3, MOMENT_US, MOMENT_US, MOMENT_US)
    given = cursor_after_title(("0", "paper", "song-42")) if sort == "title" else cursor_after(query, one)
    found = library_query(filter, sort, given)
    assert found.after_title == ("0", "paper", "song-42") if sort == "title" else found.after is not None
    other: Sort = "plays" if sort == "recent" else "recent"
    with pytest.raises(LibraryCursorError):
        library_query(filter, other, given)


def test_cursors_of_the_first_format_are_those_of_today() -> None:
    one = song("song-42", 12, MOMENT_US, liked_us=MOMENT_US)
    for filter_, sort, parts in (
        (None, "recent", ("byRecent", "2026-11-22T12:00:00.123456+00:00 song-42")),
        ("liked", "recent", ("byLiked", "2026-11-22T12:00:00.123456+00:00 song-42")),
        (None, "plays", ("byPlays", "0000000012 song-42")),
    ):
        query = library_query(filter_, sort, None)  # type: ignore[arg-type]  # mypy sees no Literal in a tuple
        assert cursor_after(query, one) == cursor(*parts)
        assert list(library(one).following(library_query(filter_, sort, cursor(*parts)))) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "é",
        "bm9uc2Vuc2U",
        "////",
        cursor("byRecent"),
        cursor("byRecent", "a", "b"),
        cursor("byRecent", "'; --"),
        cursor("byRecent", "2026-11-22T12:00:00 song-42"),
        cursor("byRecent", "2026-11-22 song-42"),
        cursor("byRecent", ""),
        cursor("byLiked", "2026-11-22T12:00:00.123456+00:00 song-42"),
    ],
)
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(LibraryCursorError):
        library_query(None, "recent", text)


@pytest.mark.parametrize("place", ["", "12", "²² song-1", "-3 song-1", "1e3 song-1", f"{'9' * 400} song-1"])
def test_a_number_of_plays_that_is_none_is_refused(place: str) -> None:
    expected = place == "12"
    try:
        library_query(None, "plays", cursor("byPlays", place))
    except LibraryCursorError:
        assert not expected
    else:
        assert expected


@given(st.text(max_size=50), st.sampled_from(SORTS))
def test_any_cursor_is_read_or_refused(text: str, sort: Sort) -> None:
    for each in (text, cursor(FIELDS[sort], text)):
        try:
            library_query(None, sort, each)
        except LibraryCursorError:
            continue


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
