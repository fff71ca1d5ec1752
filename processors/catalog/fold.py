"""Events to songs: what a batch of one partition says, and what a song's document is after it. Nothing waits here."""

from collections.abc import Iterable
from datetime import UTC

from msgspec import Struct

from schemas.envelope import Event, open_envelope, read_envelope, split_type
from schemas.errors import Poison
from schemas.events import EVENTS, SongRemoved, SongUploaded
from schemas.search import folded, words
from schemas.songs import Fact, Song, SongDocument, latest

_OURS = {name for name, (_, payload) in EVENTS.items() if payload in (SongUploaded, SongRemoved)}


class Said(Struct, frozen=True):
    """What a batch says: the last fact of each song by its id, and what could not be understood, by position."""

    facts: dict[str, Fact]
    poison: dict[int, Poison]


def read(bodies: Iterable[tuple[int, bytes]]) -> Said:
    """What `bodies` of one partition, each with its position, say in their order; other events are passed over."""
    facts: dict[str, Fact] = {}
    poison: dict[int, Poison] = {}
    for position, body in bodies:
        try:
            envelope = read_envelope(body)
            if split_type(envelope.type)[0] not in _OURS:
                continue
            event = open_envelope(envelope)
        except Poison as why:
            poison[position] = why
            continue
        facts[event.data.song_id] = Fact(position=position, at=event.time, song=_song(event))
    return Said(facts, poison)


def apply(document: SongDocument | None, song_id: str, partition: str, fact: Fact) -> SongDocument:
    """The song's document after `partition` said `fact`; the same document if that was applied before."""
    facts = {} if document is None else document.facts
    if document is not None and partition in facts and facts[partition].position >= fact.position:
        return document
    return _document(song_id, {**facts, partition: fact})


def _document(song_id: str, facts: dict[str, Fact]) -> SongDocument:
    song = latest(facts).song
    if song is None:
        return SongDocument(id=song_id, facts=facts)
    return SongDocument(
        id=song_id,
        facts=facts,
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
