"""What was said of names, and which song an event of a name is of."""

from datetime import UTC, datetime
from itertools import permutations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import (
    ListenImported,
    NameMatched,
    Payload,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
)
from songline.schemas.name_matches import KEPT, MatchStatement, NameMatch, NameMatches, no_match, with_statement
from songline.schemas.song_names import key_of, name_id

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAME = name_id(key_of("Paper Lanterns", ["Benno Falk"]))
OTHER = "name:other"

statements = st.builds(
    MatchStatement,
    said_s=st.integers(0, 50),
    partition=st.integers(0, 2),
    position=st.integers(0, 50),
    from_s=st.integers(0, 60),
    song_id=st.sampled_from(["song-1", "song-2", None]),
)


def said(at_s: int, song_id: str | None, position: int = 0) -> MatchStatement:
    return MatchStatement(said_s=at_s, partition=0, position=position, from_s=at_s + 5, song_id=song_id)


def document(*all_said: MatchStatement) -> NameMatch:
    found = no_match(NAME)
    for one in all_said:
        found = with_statement(found, one)
    return found


def body(data: Payload, event_id: str = "e") -> bytes:
    return encode(Event(id=event_id, source="/s", time=NOON, data=data))


def listen(title: str, song_id: str) -> ListenImported:
    return ListenImported(
        user_id="u", song_id=song_id, import_id="i", origin="lastfm", title=title, artists=("Benno Falk", "Alba Reed")
    )


def song_in(found: bytes) -> str:
    return decode(found).data.song_id


def test_a_statement_holds_from_its_own_second_until_the_next_one() -> None:
    matches = NameMatches({NAME: document(said(100, "song-1"), said(200, None, 1), said(300, "song-2", 2))})
    assert [matches.song_of(NAME, second) for second in (0, 104, 105, 204, 205, 304, 305, 9_999)] == [
        None,
        None,
        "song-1",
        "song-1",
        None,
        None,
        "song-2",
        "song-2",
    ]
    assert matches.song_of(OTHER, 9_999) is None
    assert matches.joined == {NAME}


def test_a_rebuild_takes_what_was_said_by_its_moment_for_all_before_and_goes_on_as_the_workers_do() -> None:
    matches = NameMatches({NAME: document(said(100, "song-1"), said(200, None, 1), said(300, "song-2", 2))})
    assert [matches.as_of(150).song_of(NAME, second) for second in (0, 104, 204, 205, 305)] == [
        "song-1",
        "song-1",
        "song-1",
        None,
        "song-2",
    ]
    assert matches.as_of(99).song_of(NAME, 99) is None
    assert [matches.as_of(250).song_of(NAME, second) for second in (0, 250)] == [None, None]


def test_events_of_names_get_their_songs_and_all_others_stay_as_they_are() -> None:
    matches = NameMatches({NAME: document(said(0, "song-1"))})
    named: list[Payload] = [
        SongPlayed(user_id="u", song_id=NAME, device="ios"),
        SongLiked(user_id="u", song_id=NAME),
        SongUnliked(user_id="u", song_id=NAME),
        listen("Paper Lanterns", NAME),
        # The words of a listen say it too, whichever song it was matched with.
        listen("Paper Lanterns (feat. Alba Reed)", "song-9"),
    ]
    others: list[Payload] = [
        SongPlayed(user_id="u", song_id="song-9"),
        SongPlayed(user_id="u", song_id=OTHER),
        listen("Another", "name:x"),
        SongRemoved(user_id="u", song_id="song-9"),
        NameMatched(user_id="u", name=NAME, song_id="song-9"),
    ]
    bodies = [body(one) for one in [*named, *others]] + [b"", b"name:", b'{"name:":', b"\\"]
    found = matches.matched(bodies, [50] * len(bodies))
    assert [song_in(one) for one in found[: len(named)]] == ["song-1"] * len(named)
    assert found[len(named) :] == bodies[len(named) :]
    for before, after in zip(bodies[: len(named)], found, strict=False):
        # Nothing else of an event is another.
        replaced = msgspec.json.decode(before)
        replaced["data"]["songId"] = replaced["subject"] = "song-1"
        assert msgspec.json.decode(after) == replaced
    charts = matches.matched(bodies, [50] * len(bodies), by_words=False)
    assert charts[: len(named) - 1] == found[: len(named) - 1]
    assert charts[len(named) - 1 :] == bodies[len(named) - 1 :]


def test_a_name_that_is_written_with_escapes_is_the_same() -> None:
    matches = NameMatches({NAME: document(said(0, "song-1"))})
    escaped = body(SongPlayed(user_id="u", song_id=NAME)).replace(b'"name:', b'"\\u006eame:')
    assert song_in(matches.matched([escaped], [50])[0]) == "song-1"


def test_without_a_match_nothing_is_looked_at() -> None:
    bodies = [body(SongPlayed(user_id="u", song_id=NAME))]
    assert NameMatches({}).matched(bodies, [0]) is bodies
    matches = NameMatches({NAME: document(said(100, "song-1"))})
    assert matches.matched(bodies, [104]) is bodies


@effort(20)
@given(st.lists(statements, max_size=4, unique_by=lambda one: one.order), st.integers(0, 70))
def test_the_order_in_which_statements_come_changes_nothing(found: list[MatchStatement], second: int) -> None:
    documents = {msgspec.json.encode(document(*order, *order)) for order in permutations(found)}
    assert len(documents) == 1
    latest = max(found, key=lambda one: one.order, default=None)
    assert document(*found).song_id == (None if latest is None else latest.song_id)
    held = [one for one in sorted(found, key=lambda one: one.order) if one.from_s <= second]
    assert NameMatches({NAME: document(*found)}).song_of(NAME, second) == (held[-1].song_id if held else None)


def test_the_latest_statements_are_kept() -> None:
    found = document(*(said(second, "song-1", second) for second in range(KEPT + 5)))
    assert len(found.statements) == KEPT
    assert found.latest is not None
    assert found.latest.said_s == KEPT + 4
