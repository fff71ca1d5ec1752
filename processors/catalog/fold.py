"""The facts about songs in a batch of records, and a song's document after them. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from msgspec import Struct, structs

from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.song_events import MATCH_TYPES, SONG_TYPES, song_events
from songline.schemas.envelope import Event
from songline.schemas.errors import PoisonError
from songline.schemas.events import NameMatched, NameUnmatched, SongUploaded
from songline.schemas.forgotten import is_forgotten
from songline.schemas.name_matches import LEAD_S, MatchStatement
from songline.schemas.ownership import Claim, Key, enqueued_second, learn, merge
from songline.schemas.search import FOLDING, folded, song_words
from songline.schemas.songs import Fact, Song, SongDocument, filed

READER = "catalog"
"""The reader's name: records are parked by it, and sent again for it."""


class ParsedSongBatch(Struct, frozen=True):
    """The records of a batch, parsed: by song, the last fact of each user (`facts`) and the facts of events that were
    parked and sent again (`resubmitted`); what is said of names, in order; by position, what can't be decoded."""

    facts: dict[str, tuple[Fact, ...]]
    resubmitted: dict[str, tuple[Fact, ...]]
    poison: dict[int, PoisonError]
    matches: tuple[tuple[str, MatchStatement], ...] = ()


def parse_songs(records: Iterable[HubRecord], partition: str = "0") -> ParsedSongBatch:
    """The facts about songs in `records` of one partition, and what is said of names. Events of other types are
    skipped."""
    facts: dict[str, dict[str, Fact]] = {}
    resubmitted: dict[str, tuple[Fact, ...]] = {}
    poison: dict[int, PoisonError] = {}
    matches: list[tuple[str, MatchStatement]] = []
    for record, event in song_events(records, READER, poison, SONG_TYPES | MATCH_TYPES):
        if isinstance(event.data, NameMatched | NameUnmatched):
            matches.append((event.data.name, _statement(event.data, record, int(partition))))
            continue
        song_id, user_id = event.data.song_id, event.data.user_id
        fact = fact_of(event, record.position, record.enqueued_at)
        if event.resubmit_of is not None:
            resubmitted[song_id] = (*resubmitted.get(song_id, ()), fact)
            continue
        by_user = facts.setdefault(song_id, {})
        by_user[user_id] = merge(by_user[user_id], fact) if user_id in by_user else fact
    last = {song_id: tuple(found.values()) for song_id, found in facts.items()}
    return ParsedSongBatch(last, resubmitted, poison, tuple(matches))


def fact_of(event: Event, position: int, enqueued_at: datetime | None) -> Fact:
    """The fact in `event`, an upload or a removal that the hub enqueued at `enqueued_at`, at `position`."""
    song = _song(event)
    claim = None if song is None else Claim(enqueued_second(enqueued_at), position)
    return Fact(position=position, at=event.time, song=song, user_id=event.data.user_id, claim=claim)


def apply_facts(
    document: SongDocument | None,
    song_id: str,
    partition: str,
    facts: Iterable[Fact],
    resubmitted: Iterable[Fact] = (),
) -> SongDocument:
    """The song's document with more facts of `partition`; the same document where none of them is new.

    What is no news to somebody who was forgotten is left out. A worker that was stopped with their upload, before they
    were forgotten, has it under their id. As the events of a partition are applied in order, nothing else is lost.
    """
    before: Mapping[Key, Fact] = {} if document is None else document.all_facts
    forgotten = [said for (at, user), said in before.items() if at == int(partition) and is_forgotten(user)]

    def is_news(fact: Fact) -> bool:
        return all(merge(said, fact) != said for said in forgotten)

    after = before
    for fact in filter(is_news, facts):
        after = learn(after, int(partition), fact)
    for fact in filter(is_news, resubmitted):
        after = learn(after, int(partition), fact, again=True)
    return document if document is not None and after is before else document_of(song_id, after)


def document_of(song_id: str, known: Mapping[Key, Fact]) -> SongDocument:
    """The document of a song of which these facts are known."""
    facts, others = filed(known)
    document = SongDocument(id=song_id, facts=facts, others=others)
    song = document.song
    if song is None:
        return document
    return structs.replace(
        document,
        # Of a fixed width up to the id: it sorts as time does and is unique for songs of one moment.
        order=f"{song.uploaded_at.astimezone(UTC).isoformat(timespec='microseconds')} {song_id}",
        artist=folded(song.artist),
        genre=song.genre,
        words=song_words(song.title, song.artist, song.artists or (), song.album, song.genres or ()),
        folding=FOLDING,
    )


def _statement(data: NameMatched | NameUnmatched, record: HubRecord, partition: int) -> MatchStatement:
    said_s = enqueued_second(record.enqueued_at)
    song_id = data.song_id if isinstance(data, NameMatched) else None
    return MatchStatement(
        said_s=said_s, partition=partition, position=record.position, from_s=said_s + LEAD_S, song_id=song_id
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
        artists=data.artists,
        genres=data.genres,
    )
