"""What batches say may be held for any time: the documents are those of records that are written one by one."""

import json
from collections.abc import Iterator, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from songline.processors.catalog.fold import ParsedSongBatch, apply_facts, parse_songs
from songline.processors.catalog.held_facts import HeldFacts
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import encode
from songline.schemas.songs import SongDocument
from tests.support.ownership import Line, random_log

SONGS = ("song-1", "song-2", "song-3")


def record(line: Line, random: Random) -> HubRecord:
    """The line's record; one of three was parked before and is sent again."""
    body = encode(line.event)
    if random.random() < 0.3:
        again = {"resubmitof": f"{MUSIC_EVENTS}:0:1", "resubmitfor": "catalog"}
        body = json.dumps({**json.loads(body), **again}).encode()
    return HubRecord(line.position, line.logged, body)


def batches(records: Sequence[HubRecord], random: Random) -> Iterator[ParsedSongBatch]:
    """The records as a reader may get them: some at a time, and some again after a restart."""
    following = 0
    while following < len(records):
        begin = random.choice((following, random.randint(0, following)))
        following = random.randint(following + 1, len(records))
        yield parse_songs(records[begin:following])


def history(random: Random) -> list[HubRecord]:
    """What three users say of three songs in one partition."""
    lines = [line for song in SONGS for line in random_log(random, ("ann", "bob", "cleo"), 1, 8, song)[0]]
    random.shuffle(lines)
    lines = [Line(position, line.logged, line.event) for position, line in enumerate(lines)]
    return [record(line, random) for line in lines]


def written(documents: dict[str, SongDocument], held: HeldFacts) -> None:
    """Apply all that is held, and hold nothing."""
    for song_id in held.songs:
        facts, resubmitted = held.of(song_id)
        documents[song_id] = apply_facts(documents.get(song_id), song_id, "0", facts, resubmitted)
        held.remove(song_id)
    assert len(held) == 0


@given(st.integers(0, 2**32 - 1))
def test_held_facts_make_the_documents_of_single_records(seed: int) -> None:
    random = Random(seed)
    records = history(random)
    single: dict[str, SongDocument] = {}
    for one in records:
        held = HeldFacts()
        held.add(parse_songs([one]))
        written(single, held)

    together: dict[str, SongDocument] = {}
    held = HeldFacts()
    for batch in batches(records, random):
        held.add(batch)
        assert len(held) <= len(SONGS)
        if random.random() < 0.4:
            written(together, held)
    written(together, held)
    assert together == single
