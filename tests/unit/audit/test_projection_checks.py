"""The checks of projections find what is missing, what is counted twice, and what is of another listener."""

from collections.abc import Callable

import pytest
from msgspec import structs

from songline.audit.chart_check import chart_keys, check_charts, check_plays
from songline.audit.chart_reference import USUAL, Rules
from songline.audit.hub_log import HubLog
from songline.audit.library_check import LibraryAnswers, check_libraries
from songline.audit.parked_check import READERS, check_parked
from songline.audit.proof import Proof
from songline.audit.song_check import check_songs
from songline.schemas.envelope import encode
from songline.schemas.events import SongRemoved
from tests.support.audited import (
    NOON,
    event,
    log_of,
    played,
    right_charts,
    right_libraries,
    right_plays,
    right_songs,
    small_history,
)

ONCE = log_of(small_history())
TWICE = log_of([*small_history(), played(200, "user-9")])
"""The same with a listen more, which only a projection that counts wrongly has."""


def whats(found: Proof) -> list[str]:
    assert found.wrong >= len(found.differences)
    return [one.what for one in found.differences]


def test_right_answers_prove_everything() -> None:
    proofs = [
        check_charts(ONCE, right_charts(ONCE), USUAL),
        check_plays(ONCE, right_plays(ONCE), USUAL),
        check_songs(ONCE, right_songs(ONCE)),
        check_libraries(ONCE, right_libraries(ONCE)),
    ]
    assert [one.name for one in proofs if not one.holds] == []
    assert all(sum(one.checked.values()) for one in proofs)


def test_the_whole_log_is_gone_through_once_for_all_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each: there are thousands of songs, and hundreds of thousands of records."""
    charts, plays, ends = right_charts(ONCE), right_plays(ONCE), ONCE.ends
    assert len(charts) > 2
    assert len(plays) > 1
    asked = []

    def counted(log: HubLog) -> dict[str, int]:
        asked.append(log)
        return ends

    monkeypatch.setattr(HubLog, "ends", property(counted))
    assert check_charts(ONCE, charts, USUAL).holds
    assert check_plays(ONCE, plays, USUAL).holds
    assert len(asked) == 2


def test_a_listen_that_is_counted_twice_is_named() -> None:
    charts = {key: structs.replace(one, position=ONCE.ends) for key, one in right_charts(TWICE).items()}
    assert "chart top:1h:global, line 1" in whats(check_charts(ONCE, charts, USUAL))
    assert whats(check_plays(ONCE, right_plays(TWICE), USUAL)) == ["song song-1, hour 2026-11-22T11"]


def test_a_listen_that_is_missing_is_named() -> None:
    charts = {key: structs.replace(one, position=TWICE.ends) for key, one in right_charts(ONCE).items()}
    found = check_charts(TWICE, charts, USUAL)
    assert "chart top:1h:global, line 1" in whats(found)
    assert not found.holds


def test_a_chart_that_was_not_read_or_is_behind_is_named() -> None:
    charts = right_charts(ONCE)
    late = structs.replace(charts["top:1h:global"], position={"0": 0})
    assert whats(check_charts(ONCE, {**charts, "top:1h:global": late}, USUAL)) == [
        "chart top:1h:global has not counted all"
    ]
    del charts["top:24h:region:DE"]
    assert whats(check_charts(ONCE, charts, USUAL)) == ["chart top:24h:region:DE was not read"]


def test_plays_that_are_behind_are_named() -> None:
    plays = right_plays(ONCE)
    plays["song-1"] = structs.replace(plays["song-1"], position={"0": 0})
    assert whats(check_plays(ONCE, plays, USUAL)) == ["the plays of song song-1 have not counted all"]


def test_a_chart_that_must_be_empty_is_named() -> None:
    charts = right_charts(ONCE)
    charts["top:1h:region:FR"] = structs.replace(charts["top:1h:region:DE"], scope="region:FR")
    assert whats(check_charts(ONCE, charts, USUAL)) == ["chart top:1h:region:FR, line 1"]


def test_the_keys_are_those_of_every_scope_that_has_lines() -> None:
    keys = chart_keys(ONCE, NOON, USUAL)
    assert set(keys) > set(right_charts(ONCE))
    assert {key.split(":", 2)[2] for key in keys} == {"global", "genre:unknown", "region:DE"}
    assert len(keys) == 24


def test_plays_that_are_not_there_are_named() -> None:
    plays = right_plays(ONCE)
    del plays["song-2"]
    assert whats(check_plays(ONCE, plays, USUAL)) == ["the plays of song song-2 are not there"]
    removed = log_of([*small_history(), event(9, SongRemoved(user_id="user-2", song_id="song-1"))])
    del plays["song-1"]
    assert whats(check_plays(removed, plays, USUAL)) == ["the plays of song song-2 are not there"]


def test_excluded_listeners_count_in_no_chart() -> None:
    rules = Rules(excluded=("user-9",))
    charts = {key: structs.replace(one, position=TWICE.ends) for key, one in right_charts(ONCE).items()}
    assert check_charts(TWICE, charts, rules).holds
    plays = {song: structs.replace(one, position=TWICE.ends) for song, one in right_plays(ONCE).items()}
    assert check_plays(TWICE, plays, rules).holds
    assert whats(check_plays(TWICE, plays, USUAL)) == ["song song-1, hour 2026-11-22T11"]


def test_a_song_that_is_missing_foreign_or_other_is_named() -> None:
    songs = right_songs(ONCE)
    assert whats(check_songs(ONCE, {})) == ["song song-1 is missing"]
    renamed = structs.replace(songs["song-1"], title="Other")
    assert whats(check_songs(ONCE, {"song-1": renamed})) == ["song song-1 differs in title"]
    removed = log_of([*small_history(), event(9, SongRemoved(user_id="user-2", song_id="song-1"))])
    assert whats(check_songs(removed, songs)) == ["song song-1 is there"]
    stranger = log_of([*small_history(), event(9, SongRemoved(user_id="user-1", song_id="song-1"))])
    assert check_songs(stranger, songs).holds


def one_more_play(found: LibraryAnswers) -> LibraryAnswers:
    entries = [structs.replace(one, plays=one.plays + (one.song_id == "song-1")) for one in found.entries]
    return structs.replace(found, entries=tuple(entries))


def no_like(found: LibraryAnswers) -> LibraryAnswers:
    entries = [structs.replace(one, liked=False, liked_at=None) for one in found.entries]
    return structs.replace(found, entries=tuple(entries))


def one_listen_less(found: LibraryAnswers) -> LibraryAnswers:
    return structs.replace(found, recent=found.recent[1:])


def other_total(found: LibraryAnswers) -> LibraryAnswers:
    return structs.replace(found, summary=structs.replace(found.summary, listens=found.summary.listens + 1))


def a_song_twice(found: LibraryAnswers) -> LibraryAnswers:
    return structs.replace(found, entries=(*found.entries, found.entries[0]))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (one_more_play, "user-1, song song-1"),
        (no_like, "user-1, song song-1"),
        (one_listen_less, "the last listens of user-1"),
        (other_total, "the totals of user-1"),
        (a_song_twice, "the library of user-1 has a song twice"),
    ],
)
def test_a_wrong_library_is_named(spoil: Callable[[LibraryAnswers], LibraryAnswers], what: str) -> None:
    answers = right_libraries(ONCE)
    answers["user-1"] = spoil(answers["user-1"])
    assert whats(check_libraries(ONCE, answers)) == [what]


def test_a_library_that_was_not_read_or_should_be_empty_is_named() -> None:
    answers = right_libraries(TWICE)
    assert whats(check_libraries(ONCE, answers)) == [
        "user-9, song song-1",
        "the totals of user-9",
        "the last listens of user-9",
    ]
    del answers["user-9"]
    assert whats(check_libraries(TWICE, answers)) == ["the library of user-9 was not read"]


def test_bad_records_are_parked_once_by_every_reader() -> None:
    log = log_of([b"null", *small_history(), b"{}"])
    first, last = (f"music-events:0:{one.position}" for one in log.unreadable)
    right = {first: READERS, last: READERS}
    assert check_parked(2, log, right).holds
    assert whats(check_parked(2, log, {first: READERS})) == [f"record {last}"]
    assert whats(check_parked(2, log, {**right, last: ("library", "catalog")})) == [f"record {last}"]
    assert whats(check_parked(2, log, {**right, "music-events:1:0": READERS})) == ["record music-events:1:0"]
    assert whats(check_parked(3, log, right)) == ["bad records were acknowledged and are not there"]


def test_a_bad_play_need_not_be_parked_by_the_catalog() -> None:
    body = encode(played(1)).replace(b'"playedMs":', b'"playedMs":-')
    log = log_of([body, encode(small_history()[0]).replace(b'"title":"A"', b'"title":""')])
    play, upload = (f"music-events:0:{one.position}" for one in log.unreadable)
    assert check_parked(2, log, {play: ("library", "trending"), upload: READERS}).holds
    assert whats(check_parked(2, log, {play: ("library", "trending"), upload: ("library", "trending")})) == [
        f"record {upload}"
    ]
