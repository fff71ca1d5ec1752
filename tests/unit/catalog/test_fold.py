"""Events to songs: what a batch says, and that neither repetition nor interleaving changes what comes of it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.catalog.fold import apply, read
from schemas import examples
from schemas.envelope import Event, encode
from schemas.events import SongPlayed, SongRemoved, SongUploaded
from schemas.songs import Fact, Song, SongDocument

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
UPLOADED = SongUploaded(
    user_id="user-3",
    song_id="song-42",
    title="Paper Lanterns",
    artist="Sigur  RÓS",
    duration_ms=201_000,
    genre="indie",
    album="Dusk",
    sha256="ab" * 32,
    size=1_000,
    content_type="audio/flac",
)
REMOVED = SongRemoved(user_id="user-3", song_id="song-42")


def event(data: SongUploaded | SongRemoved, at: datetime = NOON) -> bytes:
    return encode(Event(id="e", source="/tests", time=at, data=data))


def song(title: str, at: datetime = NOON) -> Song:
    return Song(id="song-42", user_id="user-3", title=title, artist="A", duration_ms=1, uploaded_at=at)


def test_an_upload_makes_a_song_that_can_be_found() -> None:
    said = read([(7, event(UPLOADED))])
    document = apply(None, "song-42", "2", said.facts["song-42"])
    assert document.latest.song == Song(
        id="song-42",
        user_id="user-3",
        title="Paper Lanterns",
        artist="Sigur  RÓS",
        duration_ms=201_000,
        uploaded_at=NOON,
        album="Dusk",
        genre="indie",
        sha256="ab" * 32,
        size=1_000,
        content_type="audio/flac",
    )
    assert document.order == "2026-11-22T12:00:00.000000+00:00 song-42"
    assert (document.artist, document.genre) == ("sigur ros", "indie")
    assert document.words == ("paper", "lanterns", "sigur", "ros", "dusk")


def test_a_removal_leaves_nothing_that_could_be_shown_or_found() -> None:
    document = None
    for position, body in enumerate((event(UPLOADED), event(REMOVED))):
        document = apply(document, "song-42", "2", read([(position, body)]).facts["song-42"])
    assert document == SongDocument(id="song-42", facts={"2": Fact(position=1, at=NOON)})
    assert b"Paper" not in msgspec.json.encode(document)


def test_a_batch_says_of_each_song_what_came_last() -> None:
    other = event(UPLOADED).replace(b"song-42", b"song-1")
    said = read([(3, event(UPLOADED)), (4, other), (5, event(REMOVED))])
    assert {song_id: (fact.position, fact.song is None) for song_id, fact in said.facts.items()} == {
        "song-42": (5, True),
        "song-1": (4, False),
    }


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not-an-event"),
        (b"\xff\xfe", "not-an-event"),
        (event(UPLOADED).replace(b"uploaded.v1", b"uploaded.v2"), "unknown-version"),
        (event(UPLOADED).replace(b"song.uploaded", b"song.sold"), "unknown-type"),
        (event(UPLOADED).replace(b"201000", b"-1"), "broken-contract"),
    ],
)
def test_what_cannot_be_understood_is_told_and_passed_over(body: bytes, reason: str) -> None:
    said = read([(1, body), (2, event(UPLOADED))])
    assert {position: why.reason for position, why in said.poison.items()} == {1: reason}
    assert said.facts.keys() == {"song-42"}


def test_events_of_others_are_passed_over_unopened() -> None:
    played = encode(examples.EVENTS[SongPlayed]).replace(b'"playedMs":184000', b'"playedMs":"broken"')
    assert read([(1, played)]) == read([])


def test_in_a_partition_order_decides_and_between_partitions_time() -> None:
    earlier, later = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
    document = apply(None, "song-42", "0", Fact(position=1, at=later, song=song("first")))
    document = apply(document, "song-42", "0", Fact(position=2, at=NOON))
    assert document.latest.song is None
    document = apply(document, "song-42", "1", Fact(position=9, at=earlier, song=song("late to come")))
    assert document.latest.song is None
    document = apply(document, "song-42", "1", Fact(position=10, at=later, song=song("back")))
    assert document.words == ("back", "a")


FACTS = st.builds(
    lambda at, title: (NOON + timedelta(seconds=at), title),
    st.integers(-3, 3),
    st.sampled_from(["one", "two", None]),
)


@given(partitions=st.lists(st.lists(FACTS, max_size=5), min_size=1, max_size=12), data=st.data())
def test_any_interleaving_with_any_repetition_comes_to_the_same(
    partitions: list[list[tuple[datetime, str | None]]], data: st.DataObject
) -> None:
    facts = {
        str(number): [
            Fact(position=position, at=at, song=None if title is None else song(title, at))
            for position, (at, title) in enumerate(said)
        ]
        for number, said in enumerate(partitions)
    }
    in_turn = None
    for partition, said in facts.items():
        for fact in said:
            in_turn = apply(in_turn, "song-42", partition, fact)
    mixed = None
    following = dict.fromkeys(facts, 0)
    while left := [partition for partition in facts if following[partition] < len(facts[partition])]:
        partition = data.draw(st.sampled_from(left))
        # A reader that begins again at its checkpoint sees some of what it saw before.
        again = data.draw(st.integers(0, following[partition]))
        for fact in facts[partition][again : following[partition] + 1]:
            mixed = apply(mixed, "song-42", partition, fact)
        following[partition] += 1
    assert mixed == in_turn
