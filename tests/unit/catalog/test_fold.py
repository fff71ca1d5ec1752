"""Events to songs: what a batch says, and that neither repetition nor interleaving changes what comes of it."""

import json
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.processors.catalog.fold import apply_facts, fact_of, parse_songs
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas import examples
from songline.schemas.envelope import Event, encode
from songline.schemas.events import NameMatched, NameUnmatched, Payload, SongPlayed, SongRemoved, SongUploaded
from songline.schemas.name_matches import LEAD_S, MatchStatement
from songline.schemas.ownership import OTHERS, Claim, enqueued_second
from songline.schemas.songs import Fact, Song, SongDocument
from tests.support.bad_bytes import BAD_RECORDS
from tests.support.ownership import Log, random_log, steps, verdict

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


def records(*bodies: bytes, position: int = 0) -> list[HubRecord]:
    return [HubRecord(number, NOON, body) for number, body in enumerate(bodies, start=position)]


def test_what_is_said_of_names_is_read_beside_the_songs() -> None:
    facts: tuple[Payload, ...] = (
        NameMatched(user_id="a", name="name:x", song_id="song-42"),
        NameUnmatched(user_id="b", name="name:x"),
    )
    bodies = [
        encode(Event(id=f"m-{number}", source="/tests", time=NOON, data=data)) for number, data in enumerate(facts)
    ]
    said = parse_songs(records(bodies[0], event(UPLOADED), bodies[1], position=3), "2")
    at_s = int(NOON.timestamp())
    assert said.matches == (
        ("name:x", MatchStatement(said_s=at_s, partition=2, position=3, from_s=at_s + LEAD_S, song_id="song-42")),
        ("name:x", MatchStatement(said_s=at_s, partition=2, position=5, from_s=at_s + LEAD_S)),
    )
    assert set(said.facts) == {"song-42"}


def test_an_upload_makes_a_song_that_can_be_found() -> None:
    said = parse_songs(records(event(UPLOADED), position=7))
    document = apply_facts(None, "song-42", "2", said.facts["song-42"])
    assert document.owner == "user-3"
    assert document.song == Song(
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
    assert document.words == ("paper", "lanterns", "sigur", "ros", "dusk", " artist:sigurros")


def test_what_is_in_the_hub_already_is_shown_clean() -> None:
    dirty = json.loads(event(UPLOADED))
    dirty["data"] |= {"title": "Paper\nLanterns\u202e", "artist": "\x1b[2JNova\0", "album": "\u2066"}
    (fact,) = parse_songs([HubRecord(1, NOON, json.dumps(dirty).encode())]).facts["song-42"]
    assert fact.song is not None
    assert (fact.song.title, fact.song.artist, fact.song.album) == ("Paper Lanterns", "[2JNova", None)


@pytest.mark.parametrize("name", [name for name in BAD_RECORDS if name.startswith(("upload", "byte", "unknown"))])
def test_a_bad_record_costs_no_neighbour(name: str) -> None:
    said = parse_songs(
        [HubRecord(1, NOON, event(UPLOADED)), HubRecord(2, NOON, BAD_RECORDS[name]), HubRecord(3, NOON, event(REMOVED))]
    )
    assert list(said.poison) == [2]
    assert said.facts["song-42"][0].position == 3


def test_a_removal_leaves_nothing_that_could_be_shown_or_found() -> None:
    document = None
    for record in records(event(UPLOADED), event(REMOVED)):
        document = apply_facts(document, "song-42", "2", parse_songs([record]).facts["song-42"])
    assert document is not None
    left = Fact(position=1, at=NOON, user_id="user-3", claim=Claim(enqueued_second(NOON), 0))
    assert document == SongDocument(id="song-42", facts={"2": left})
    assert b"Paper" not in msgspec.json.encode(document)


def test_a_batch_says_of_each_song_what_each_user_said_last() -> None:
    other = event(UPLOADED).replace(b"song-42", b"song-1")
    stranger = event(UPLOADED).replace(b"user-3", b"user-4")
    said = parse_songs(records(event(UPLOADED), other, event(REMOVED), stranger, position=3))
    found = [(song_id, fact.user_id, fact.position, fact.song) for song_id, each in said.facts.items() for fact in each]
    assert [(*fact[:3], fact[3] is None) for fact in found] == [
        ("song-42", "user-3", 5, True),
        ("song-42", "user-4", 6, False),
        ("song-1", "user-3", 4, False),
    ]
    assert said.facts["song-42"][0].claim == Claim(enqueued_second(NOON), 3)


def test_what_is_dated_over_an_hour_ahead_claims_nothing() -> None:
    said = parse_songs(records(event(UPLOADED, NOON + timedelta(hours=1, microseconds=1)), event(UPLOADED)))
    assert said.poison[0].reason == "broken-contract"
    assert [fact.claim and fact.claim.position for fact in said.facts["song-42"]] == [1]
    assert not parse_songs([HubRecord(0, None, event(UPLOADED, NOON + timedelta(days=1)))]).poison


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
    said = parse_songs(records(body, event(UPLOADED), position=1))
    assert {position: why.reason for position, why in said.poison.items()} == {1: reason}
    assert said.facts.keys() == {"song-42"}


def test_events_of_others_are_passed_over_unopened() -> None:
    played = encode(examples.EVENTS[SongPlayed]).replace(b'"playedMs":184000', b'"playedMs":"broken"')
    assert parse_songs(records(played)) == parse_songs([])


seeds = st.integers(0, 2**32 - 1)


def folded(random: Random, log: Log) -> SongDocument | None:
    """The song's document after a reader came by the log in some order, with documents going over the wire."""
    document: SongDocument | None = None
    for partition, lines in steps(random, log):
        said = parse_songs(HubRecord(line.position, line.logged, encode(line.event)) for line in lines)
        assert not said.poison
        for song_id, facts in said.facts.items():
            after = apply_facts(document, song_id, str(partition), facts)
            document = msgspec.json.decode(msgspec.json.encode(after), type=SongDocument)
            assert document == after
            assert apply_facts(document, song_id, str(partition), facts) is document
    return document


@given(seeds)
def test_whatever_several_parties_say_in_any_order_comes_to_the_owners_song(seed: int) -> None:
    random = Random(seed)
    log = random_log(random, ["ann", "bob", "cleo"], partitions=12)
    document, again, right = folded(random, log), folded(random, log), verdict(log)
    assert document == again
    if right is None:
        assert document is not None
        assert (document.latest, document.song, document.owner, document.order) == (None, None, None, None)
        return
    assert document is not None
    assert document.latest is not None
    assert (document.owner, document.latest.at) == (right.data.user_id, right.time)
    song, data = document.song, right.data
    if isinstance(data, SongUploaded):
        assert song is not None
        assert (song.user_id, song.title, song.sha256) == (data.user_id, data.title, data.sha256)
        assert document.order is not None
    else:
        assert (song, document.order) == (None, None)
    assert {fact.user_id for fact in document.facts.values()} == {document.owner}


def test_a_document_fits_whatever_its_owner_and_strangers_say() -> None:
    # Two of JSON's escapes a character, as the SDK writes it.
    longest = structs.replace(UPLOADED, title="𝄞" * 300, artist="𝄞" * 300, album="𝄞" * 300, song_id="s" * 128)
    document: SongDocument | None = None
    for number in range(4 * OTHERS):
        stranger = structs.replace(longest, user_id=f"{number:0128}")
        for place, data in enumerate((longest, stranger)):
            event = Event(id="e", source="/tests", time=NOON, data=data)
            fact = fact_of(event, 2 * number + place, NOON + timedelta(seconds=number))
            document = apply_facts(document, "s" * 128, str(number % 32), [fact])
    assert document is not None
    assert (len(document.facts), len(document.others)) == (32, OTHERS)
    assert len(json.dumps(msgspec.to_builtins(document))) < 1_000_000


def test_a_takeover_and_a_removal_by_a_stranger_show_nowhere() -> None:
    takeover = event(UPLOADED, NOON + timedelta(minutes=5)).replace(b"user-3", b"user-4").replace(b"Paper", b"Stolen")
    removal = event(REMOVED, NOON + timedelta(minutes=9)).replace(b"user-3", b"user-5")
    own = apply_facts(None, "song-42", "2", parse_songs(records(event(UPLOADED))).facts["song-42"])
    for partition in ("0", "2", "3"):
        later = NOON + timedelta(seconds=1)
        said = parse_songs(HubRecord(50 + number, later, body) for number, body in enumerate((takeover, removal)))
        document = apply_facts(own, "song-42", partition, said.facts["song-42"])
        assert structs.replace(document, others={}) == own
        assert len(document.others) == 2
