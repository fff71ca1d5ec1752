"""Whose facts charts show: the owner's, in every order, over saves and owners of the shard; and stored ones go on."""

import json
from base64 import b64decode
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.catalog.fold import apply_facts, fact_of, parse_songs
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.wire import CountSection, Partial, SongFact
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.shards.song_facts import SongFacts
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.validation import check_saved
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.validation import StageLimits
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongUploaded
from songline.schemas.moments import milliseconds
from songline.schemas.ownership import OTHERS, Claim
from songline.schemas.songs import SongDocument
from tests.support.ownership import NOON, Line, random_log, removed, steps, uploaded, verdict
from tests.support.trending import KEY

NOW_MS = milliseconds(NOON)
NOTHING = CountSection([], b"", b"", b"", b"")
STORED = json.loads((Path(__file__).parent / "stored_without_owners.json").read_bytes())


def told(partition: int, lines: Sequence[Line]) -> list[bytes]:
    """The messages of a source that has read these lines."""
    source = SourcePartition(partition, "owner", 1, SongIndex(1), RegionIndex(), UserHashes(), KEY, -1)
    for line in lines:
        logged = [milliseconds(line.logged)]
        source.apply(Batch(line.position, line.position + 1, [line.position], logged, [encode(line.event)]))
    return [body for _, body in source.flush(NOW_MS).partials]


def said(partition: int, lines: Sequence[Line]) -> list[SongFact]:
    return [fact for body in told(partition, lines) for fact in partials.decode(body).facts]


@given(st.integers(0, 2**32 - 1))
def test_any_order_over_saves_comes_to_the_verdict_of_the_catalog_and_of_brute_force(seed: int) -> None:
    random = Random(seed)
    log = random_log(random, ["ann", "bob", "cleo"], partitions=6)
    facts = SongFacts(KEY)
    saved: dict[tuple[int, int], bytes] = {}
    document: SongDocument | None = None
    for owner, (partition, lines) in enumerate(steps(random, log)):
        for line in lines:
            document = apply_facts(
                document, "song-1", str(partition), [fact_of(line.event, line.position, line.logged)]
            )
        before = visible(facts)
        news = [facts.learn(partition, fact) for fact in said(partition, lines)]
        assert any(news) or visible(facts) == before
        if random.random() < 0.3:
            saved |= {(owner, piece): value for piece, value in facts.flush()}
        if random.random() < 0.2:
            # What was not saved is read again by the next owner, from what all owners saved.
            saved |= {(owner, piece): value for piece, value in facts.flush()}
            facts = SongFacts(KEY)
            for _, value in random.sample(sorted(saved.items()), len(saved)):
                facts.restore(value)
    right, held = verdict(log), facts.of("song-1")
    assert document is not None
    if right is None:
        assert held is None
        assert document.latest is None
        return
    assert held is not None
    assert document.latest is not None
    title = right.data.title if isinstance(right.data, SongUploaded) else None
    assert (held.user_id, held.time_ms, held.title) == (
        KEY.uploader(right.data.user_id, "song-1"),
        milliseconds(right.time),
        title,
    )
    assert (document.owner, document.latest.time_ms, document.latest.position) == (
        right.data.user_id,
        held.time_ms,
        held.offset,
    )
    assert facts.removed("song-1") == (title is None)


@given(st.integers(0, 2**32 - 1))
def test_what_is_sent_again_comes_to_the_same_in_catalog_and_charts(seed: int) -> None:
    random = Random(seed)
    log = random_log(random, ["ann", "bob"], partitions=3)
    facts, documents = SongFacts(KEY), dict[str, SongDocument]()
    for partition, lines in steps(random, log):
        for line in lines:
            extensions = {}
            if (kind := Random(f"{seed} {partition} {line.position}").random()) < 0.5:
                readers = "catalog,trending" if kind < 0.4 else "library"
                extensions = {"resubmitof": "music-events:0:1", "resubmitfor": readers}
            body = json.dumps({**json.loads(encode(line.event)), **extensions}).encode()
            source = SourcePartition(partition, "owner", 1, SongIndex(1), RegionIndex(), UserHashes(), KEY, -1)
            at = line.position
            source.apply(Batch(at, at + 1, [at], [milliseconds(line.logged)], [body]))
            for _, message in source.flush(NOW_MS).partials:
                for fact in partials.decode(message).facts:
                    facts.learn(partition, fact)
            found = parse_songs([HubRecord(at, line.logged, body)])
            for song_id in {*found.facts, *found.resubmitted}:
                said, again = found.facts.get(song_id, ()), found.resubmitted.get(song_id, ())
                documents[song_id] = apply_facts(documents.get(song_id), song_id, str(partition), said, again)
    held, document = facts.of("song-1"), documents.get("song-1")
    shown = None if document is None or document.latest is None else document.latest
    assert (held and (held.user_id, held.time_ms, held.offset, held.removed)) == (
        shown and (KEY.uploader(shown.user_id or "", "song-1"), shown.time_ms, shown.position, shown.song is None)
    )
    assert not any(fact.again for each in facts._facts.values() for fact in each.values())


def test_what_is_sent_again_does_not_bring_back_what_was_removed_later() -> None:
    facts = SongFacts(KEY)
    facts.learn(0, SongFact("s", NOW_MS, 1, False, "One", "A", None, "ann", Claim(1, 1)))
    facts.learn(0, SongFact("s", NOW_MS + 5, 2, True, user_id="ann"))
    assert not facts.learn(0, SongFact("s", NOW_MS + 3, 3, False, "Two", "A", None, "ann", Claim(9, 3), again=True))
    assert facts.removed("s")
    assert facts.learn(0, SongFact("s", NOW_MS + 7, 4, False, "Three", "A", None, "ann", Claim(9, 4), again=True))
    held = facts.of("s")
    assert held is not None
    assert (held.title, held.claim, held.again) == ("Three", Claim(1, 1), False)


def visible(facts: SongFacts) -> tuple[bool, str | None, tuple[str, ...]]:
    held = facts.of("song-1")
    title = None if held is None else held.title
    return facts.removed("song-1"), title, facts.genres("song-1")


def test_strangers_take_no_room() -> None:
    facts = SongFacts(KEY)
    assert facts.learn(0, SongFact("s", NOW_MS, 1, False, "One", "A", None, "ann", Claim(1, 1)))
    for number in range(20 * OTHERS):
        stranger = SongFact(
            "s", NOW_MS, number, False, "Mine", "B", None, f"user-{number}", Claim(1_000 - number, number)
        )
        assert not facts.learn(1, stranger)
    kept = SongFacts(KEY)
    pieces = dict(facts.flush())
    for piece in pieces.values():
        kept.restore(piece)
    assert list(pieces) == [0]
    assert sum(map(len, pieces.values())) < (OTHERS + 1) * 90
    assert kept.of("s") == facts.of("s")
    assert not dict(facts.flush())


def test_uploaders_are_sent_and_saved_under_a_key() -> None:
    shard = Shard(0, "owner-now", KEY)
    data = SongUploaded(user_id="user-3", song_id="s", title="One", artist="A", duration_ms=60_000)
    messages = list(told(0, [Line(1, NOON, Event(id="e", source="/tests", time=NOON, data=data))]))
    messages += told(1, [Line(2, NOON, removed("user-3", NOON, "s"))])
    for body in messages:
        assert b"user-3" not in body
        shard.apply(partials.decode(body))
    values = shard.flush()
    assert [key for key in values if key.endswith("facts/0")]
    assert not [value for value in values.values() if value and b"user-3" in value]
    (other, held) = (KEY.uploader("user-3", song_id) for song_id in ("other", "s"))
    assert len({"user-3", other, held}) == 3


def test_uploaders_that_were_saved_by_their_ids_are_saved_again_without() -> None:
    claim = Claim(1, 1)
    former = [
        (0, SongFact("gone", NOW_MS, 2, False, "One", "A", None, "user-3", claim)),
        (0, SongFact("kept", NOW_MS, 3, False, "Two", "B", None, "user-4", Claim(1, 3))),
    ]
    # As many columns as a fact had then.
    columns = [(partition, msgspec.to_builtins(fact)[:-1]) for partition, fact in former]
    key, value = "0/owner-before/facts/0", msgspec.msgpack.encode(columns)
    check_saved(key.encode(), value, 0, StageLimits(1, 4, NOW_MS))
    shard = Shard(0, "owner-now", KEY)
    shard.restore([(key, value)])
    shard.apply(partials.decode(msgspec.msgpack.encode(Partial(0, 4, None, NOTHING, NOTHING, [former[0][1]]))))
    tell(shard, 0, Line(9, NOON + timedelta(minutes=1), removed("user-3", NOON + timedelta(minutes=1), "gone")))
    values = shard.flush()
    assert list(values).index(key) > list(values).index("0/owner-now/facts/0"), "deleted once it is saved"
    assert values[key] is None
    assert not [value for value in values.values() if value and b"user-" in value]
    assert not {name for name in shard.flush() if "facts" in name}
    again = Shard(0, "owner-later", KEY)
    again.restore((name, one) for name, one in values.items() if one is not None)
    assert (again._facts.removed("gone"), again._facts.removed("kept")) == (True, False)
    assert again._facts.songs() == ["gone", "kept"]


def from_store(how: str) -> Shard:
    """A shard as it is after what was saved, or was on its way, before facts had users."""
    shard = Shard(0, "owner-now", KEY)
    if how == "saved":
        saved = {key: b64decode(value) for key, value in STORED["saved"].items()}
        for key, value in saved.items():
            check_saved(key.encode(), value, 0, StageLimits(1, 4, NOW_MS))
        shard.restore(saved.items())
    else:
        for body in STORED["messages"]:
            shard.apply(partials.decode(b64decode(body)))
    shard.advance(NOW_MS)
    return shard


def shown(shard: Shard) -> dict[str, str | None]:
    """The songs of the world's chart by their titles."""
    songs, tops = shard.report(whole=True)
    titles = {song.song_id: song.title for song in songs}
    return {song_id: titles[song_id] for song_id in tops["top:1h:global"].song}


def tell(shard: Shard, partition: int, *lines: Line) -> None:
    for body in told(partition, lines):
        shard.apply(partials.decode(body))


@pytest.mark.parametrize("how", ["saved", "messages"])
def test_facts_without_a_user_are_kept(how: str) -> None:
    shard = from_store(how)
    assert shown(shard) == {"available": "Paper Lanterns", "contested": "Stolen"}
    stranger = uploaded("user-9", "Mine", NOON, "available"), removed("user-9", NOON, "available")
    tell(shard, 0, *(Line(200 + number, NOON, event) for number, event in enumerate(stranger)))
    tell(shard, 1, Line(200, NOON, uploaded("user-9", "Mine", NOON, "gone")))
    assert shown(shard) == {"available": "Paper Lanterns", "contested": "Stolen"}
    # The uploader speaks in the partition of the upload.
    tell(shard, 2, Line(200, NOON, uploaded("user-3", "New", NOON, "available")))
    assert shown(shard) == {"available": "New", "contested": "Stolen"}
    tell(shard, 2, Line(201, NOON, removed("user-8", NOON, "available")))
    assert shown(shard) == {"available": "New", "contested": "Stolen"}
    saved = {**STORED["saved"]} if how == "saved" else {}
    values = {**{key: b64decode(value) for key, value in saved.items()}, **shard.flush()}
    tell(shard, 2, Line(202, NOON, removed("user-3", NOON, "available")))
    assert shown(shard) == {"contested": "Stolen"}
    # An owner of the shard that starts from all saves, and reads again what was sent before facts had users.
    again = Shard(0, "owner-later", KEY)
    again.restore((key, value) for key, value in values.items() if value is not None)
    for body in STORED["messages"]:
        again.apply(partials.decode(b64decode(body)))
    again.advance(NOW_MS)
    assert shown(again) == {"available": "New", "contested": "Stolen"}
