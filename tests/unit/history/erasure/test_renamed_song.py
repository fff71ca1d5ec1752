"""What a forgotten listener said of a song comes to one document, whoever applies their events, and when."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from songline.processors.catalog.fold import apply_facts, parse_songs
from songline.processors.history.erasure.places.song_documents import renamed_song
from songline.processors.history.erasure.rename import renamed_body
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.forgotten import ForgottenNames
from songline.schemas.songs import SongDocument

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SONG, USER, OTHERS = "song-42", "user-3", ("user-4", "zoe")
NAMES = ForgottenNames(bytes(range(32)))
NAME = NAMES.of_song(SONG)


def said(random: Random, position: int) -> HubRecord:
    """An upload or a removal, most often the listener's."""
    user_id = random.choice([USER, USER, *OTHERS])
    song = SongUploaded(user_id=user_id, song_id=SONG, title=f"{position}", artist="Nova Reed", duration_ms=201_000)
    data = random.choice([song, SongRemoved(user_id=user_id, song_id=SONG)])
    at = NOON + timedelta(seconds=random.choice([position, position, 0]))
    assert isinstance(data, SongUploaded | SongRemoved)
    event = Event(id=f"e{position}", source="/tests", time=at, data=data)
    return HubRecord(position, NOON + timedelta(seconds=position), encode(event))


def named(record: HubRecord) -> HubRecord:
    """The record as it is read once its listener is forgotten."""
    return HubRecord(record.position, record.enqueued_at, renamed_body(record.body, USER, NAMES, 0)[0])


def folded(document: SongDocument | None, records: Sequence[HubRecord]) -> SongDocument | None:
    facts = parse_songs(records).facts.get(SONG, ())
    return apply_facts(document, SONG, "0", facts) if facts else document


def renamed(document: SongDocument | None, bound: int) -> SongDocument | None:
    return None if document is None else renamed_song(document, USER, NAME, {0: bound})


@given(st.integers(0, 2**32 - 1))
def test_it_is_one_document_whenever_they_are_forgotten(seed: int) -> None:
    """Also where a worker goes on with what it read before, and had not written when it was stopped."""
    random = Random(seed)
    records = [said(random, position) for position in range(random.randrange(1, 12))]
    bound = len(records) - 1
    whole = folded(None, list(map(named, records)))
    known = random.randrange(len(records) + 1)
    # A rebuild has read some of it before they were forgotten, and reads the others under the name.
    found = renamed(folded(folded(None, records[:known]), list(map(named, records[known:]))), bound)
    assert found == whole
    start = random.randrange(len(records))
    stale = records[start : start + random.randrange(1, 4)]
    after = folded(found, stale)
    assert after is not None
    assert USER not in {user for _, user in after.all_facts}
    assert (after.owner, after.song) == (None if whole is None else whole.owner, None if whole is None else whole.song)
