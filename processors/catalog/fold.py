"""Events to songs: what a batch of one partition says, and what a song's document is after it. Nothing waits here."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from msgspec import Struct, structs

from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, open_envelope, read_envelope, split_type
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import check_enqueued
from songline.schemas.events import EVENTS, SongRemoved, SongUploaded
from songline.schemas.ownership import Claim, Key, enqueued_second, learn, merge
from songline.schemas.search import folded, words
from songline.schemas.songs import Fact, Song, SongDocument, filed

READER = "catalog"
"""The name under which it parks records, and for which they are sent again."""

_OURS = {name for name, (_, payload) in EVENTS.items() if payload in (SongUploaded, SongRemoved)}


class ParsedSongBatch(Struct, frozen=True):
    """What a batch says: of each song, by its id, what each user said last, and what was sent `again` after it had been
    parked; and what could not be understood, by position."""

    facts: dict[str, tuple[Fact, ...]]
    again: dict[str, tuple[Fact, ...]]
    poison: dict[int, PoisonError]


def read(records: Iterable[HubRecord]) -> ParsedSongBatch:
    """What `records` of one partition say in their order; other events are passed over."""
    facts: dict[str, dict[str, Fact]] = {}
    again: dict[str, tuple[Fact, ...]] = {}
    poison: dict[int, PoisonError] = {}
    for record in records:
        try:
            envelope = read_envelope(record.body)
            if split_type(envelope.type)[0] not in _OURS:
                continue
            event = open_envelope(envelope)
            check_enqueued(event.time, record.logged)
        except PoisonError as why:
            poison[record.position] = why
            continue
        song_id, user = event.data.song_id, event.data.user_id
        fact = fact_of(event, record.position, record.logged)
        if not event.is_for(READER):
            continue
        if event.resubmit_of is not None:
            again[song_id] = (*again.get(song_id, ()), fact)
            continue
        said = facts.setdefault(song_id, {})
        said[user] = merge(said[user], fact) if user in said else fact
    return ParsedSongBatch({song_id: tuple(said.values()) for song_id, said in facts.items()}, again, poison)


def fact_of(event: Event, position: int, logged: datetime | None) -> Fact:
    """What `event` says: an upload or a removal that the hub took at the moment `logged`, at `position`."""
    song = _song(event)
    claim = None if song is None else Claim(enqueued_second(logged), position)
    return Fact(position=position, at=event.time, song=song, user_id=event.data.user_id, claim=claim)


def apply(
    document: SongDocument | None, song_id: str, partition: str, facts: Iterable[Fact], again: Iterable[Fact] = ()
) -> SongDocument:
    """The song's document after `partition` said `facts`, and `again` what had been parked; the same document if
    nothing of that is news."""
    before: Mapping[Key, Fact] = {} if document is None else document.said
    said = before
    for fact in facts:
        said = learn(said, int(partition), fact)
    for fact in again:
        said = learn(said, int(partition), fact, again=True)
    return document if document is not None and said is before else _document(song_id, said)


def _document(song_id: str, said: Mapping[Key, Fact]) -> SongDocument:
    facts, others = filed(said)
    document = SongDocument(id=song_id, facts=facts, others=others)
    song = document.song
    if song is None:
        return document
    return structs.replace(
        document,
        # Of a fixed width up to the id, so that it sorts as time does and tells apart songs of one moment.
        order=f"{song.uploaded_at.astimezone(UTC).isoformat(timespec='microseconds')} {song_id}",
        artist=folded(song.artist),
        genre=song.genre,
        words=words(song.title, song.artist, song.album),
    )


def _song(event: Event) -> Song | None:
    data = event.data
    if not isinstance(data, SongUploaded):
        return None
    return Song(
        id=data.song_id,
        user_id=data.user_id,
        title=data.title,
        artist=data.artist,
        duration_ms=data.duration_ms,
        uploaded_at=event.time,
        album=data.album,
        genre=data.genre,
        sha256=data.sha256,
        size=data.size,
        content_type=data.content_type,
    )
