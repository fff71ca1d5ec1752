"""Plays that players report."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.players.opensubsonic.errors import OpenSubsonicError
from songline.players.opensubsonic.parameters import Parameters
from songline.players.opensubsonic.scrobbles import (
    REPEATED_S,
    RecentScrobbles,
    Scrobble,
    played,
    read_moment_ms,
    read_scrobbles,
    starred,
)
from songline.schemas.acceptance import accept
from songline.schemas.envelope import encode
from songline.schemas.events import SongLiked, SongPlayed, SongUnliked

NOW = datetime(2026, 11, 29, 5, 30, 7, 123456, tzinfo=UTC)
NOW_MS = 1_795_930_207_123
LAST = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 - hypothesis adds the zone
FIRST = datetime(2000, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone


def read(query: str) -> list[Scrobble]:
    return read_scrobbles(Parameters.read(query.encode()))


def test_one_play_and_several() -> None:
    assert read("id=a") == [Scrobble("a", None)]
    at = datetime(2026, 11, 29, 5, 30, 7, 123000, tzinfo=UTC)
    assert read(f"id=a&time={NOW_MS}&id=b&time={NOW_MS + 1}") == [
        Scrobble("a", at),
        Scrobble("b", at + timedelta(milliseconds=1)),
    ]
    assert read("id=a&id=b") == [Scrobble("a", None), Scrobble("b", None)]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "id=",
        "time=1",
        "id=a&time=x",
        "id=a&time=-5",
        "id=a&id=b&time=1795930207123",
        "id=a&time=1",
        f"id=a&time={'9' * 17}",
        "id=a&" * 1_001,
    ],
)
def test_what_is_no_report_is_refused(query: str) -> None:
    with pytest.raises(OpenSubsonicError):
        read(query)


@given(st.datetimes(FIRST, LAST, timezones=st.just(UTC)))
def test_moments_are_read_to_the_millisecond(at: datetime) -> None:
    whole = at.replace(microsecond=at.microsecond // 1000 * 1000)
    at_ms = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert read_moment_ms(str(at_ms)) == whole


def test_seconds_are_known_from_milliseconds() -> None:
    assert read_moment_ms("1795930207") == NOW.replace(microsecond=0)
    assert read_moment_ms(str(NOW_MS)) == NOW.replace(microsecond=123000)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_id_is_of_listener_song_and_moment(first: int, second: int) -> None:
    one = played("ada", "song-1", NOW + timedelta(milliseconds=first))
    other = played("ada", "song-1", NOW + timedelta(milliseconds=second))
    assert (one.id == other.id) == (first == second)
    assert one.id not in {
        played("eve", "song-1", one.time).id,
        played("ada", "song-2", one.time).id,
    }


def test_events_keep_the_contract() -> None:
    event = played("ada", "song-1", NOW)
    assert accept(encode(event), NOW).data == SongPlayed(user_id="ada", song_id="song-1")
    likes = starred("ada", ["a", "b"], NOW, ["1", "2"], is_liked=True)
    assert [accept(encode(one), NOW).data for one in likes] == [
        SongLiked(user_id="ada", song_id="a"),
        SongLiked(user_id="ada", song_id="b"),
    ]
    (unlike,) = starred("ada", ["a"], NOW, ["1"], is_liked=False)
    assert unlike.data == SongUnliked(user_id="ada", song_id="a")


def test_a_play_without_a_moment_that_is_repeated_is_the_same() -> None:
    recent = RecentScrobbles()
    first = recent.moment("ada", Scrobble("a", None), NOW)
    assert first == NOW.replace(microsecond=123000)
    soon = NOW + timedelta(seconds=REPEATED_S - 1)
    assert recent.moment("ada", Scrobble("a", None), soon) == first
    assert recent.moment("eve", Scrobble("a", None), soon) != first
    assert recent.moment("ada", Scrobble("b", None), soon) != first
    later = NOW + timedelta(seconds=REPEATED_S)
    assert recent.moment("ada", Scrobble("a", None), later) == later.replace(microsecond=123000)
    assert recent.moment("ada", Scrobble("a", NOW), later) == NOW


def test_a_clock_that_is_set_back_makes_no_play_of_the_future() -> None:
    recent = RecentScrobbles()
    recent.moment("ada", Scrobble("a", None), NOW)
    back = NOW - timedelta(hours=1)
    assert recent.moment("ada", Scrobble("a", None), back) <= back
