"""What becomes of a batch of rows: events, entries of pages, names to keep, and counts. Pure."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from songline.processors.imports.import_tally import ImportTally
from songline.processors.imports.known_listens import KnownListens, Sighting, TakenListen, taken_listen
from songline.processors.imports.rows import HistoryListen, HistoryRow, SkippedRow
from songline.schemas.commands import derived_id
from songline.schemas.envelope import Event
from songline.schemas.event_time import MAX_FUTURE
from songline.schemas.events import ListenImported
from songline.schemas.resolver import SongCandidate, SongMatch, SongWords
from songline.schemas.song_names import SongName, name_id, song_name

SOURCE = "/processors/imports"
UNKNOWN_ARTIST = "Unknown artist"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ImportedBatch(Struct):
    """What a batch of rows comes to: events to publish, listens for the pages, and names of songs."""

    events: list[Event]
    taken: list[TakenListen]
    names: list[SongName]


def song_ids_in(rows: Iterable[HistoryRow]) -> set[str]:
    """The songs that rows without words name."""
    return {row.song_id for row in rows if isinstance(row, HistoryListen) and row.song_id and not row.title}


def worded(row: HistoryListen, songs: Mapping[str, SongCandidate]) -> HistoryListen:
    """The row with words: those of the song that it names, or its id where nobody knows them."""
    if row.title:
        return row
    song = songs.get(row.song_id or "")
    title, artists = (row.song_id or "", (UNKNOWN_ARTIST,)) if song is None else (song.title, song.artists)
    return HistoryListen(
        row.began_ms, row.origin, title, artists, row.album, row.played_ms, row.duration_ms, song_id=row.song_id
    )


def words_of(row: HistoryListen) -> SongWords:
    """What a row says of its song."""
    return SongWords(
        title=row.title,
        artists=row.artists,
        duration_ms=row.duration_ms,
        recording_mbid=row.recording_mbid,
        isrc=row.isrc,
    )


def imported_batch(
    user_id: str,
    import_id: str,
    format_name: str,
    rows: Iterable[HistoryRow],
    matches: Callable[[HistoryListen], SongMatch],
    known: KnownListens,
    tally: ImportTally,
    now: datetime,
) -> ImportedBatch:
    """What the rows come to; those of listens have words. Changes `known` and `tally`."""
    batch = ImportedBatch([], [], [])
    latest_ms = int((now + MAX_FUTURE - _EPOCH) / timedelta(milliseconds=1))
    for row in rows:
        if isinstance(row, SkippedRow):
            tally.count_skipped(format_name, row.reason)
            continue
        if row.began_ms > latest_ms:
            tally.count_skipped(format_name, "in-future")
            continue
        match = matches(row)
        name = name_id(words_of(row).key)
        taken = taken_listen(name, match.song_id, row.began_ms, row.precision_ms)
        sighting = known.sight(taken)
        if sighting is Sighting.DUPLICATE:
            tally.count_skipped(format_name, "duplicate")
            continue
        if sighting in (Sighting.NEW, Sighting.AGAIN):
            tally.count_taken(format_name, is_matched=match.how != "name")
        else:
            tally.count_known(format_name)
        if sighting in (Sighting.NEW, Sighting.OTHERS):
            batch.events.append(_event(user_id, import_id, row, match.song_id))
            batch.taken.append(taken)
            if match.song_id == name:
                batch.names.append(song_name(row.title, row.artists, row.album))
    return batch


def _event(user_id: str, import_id: str, row: HistoryListen, song_id: str) -> Event:
    """The event of a listen. Its id follows from what is told of it: another import's of the same has it too."""
    told = (row.began_ms, row.played_ms or 0, row.precision_ms or 0)
    return Event(
        id=derived_id("listen", user_id, song_id, *map(str, told)),
        source=SOURCE,
        time=_EPOCH + timedelta(milliseconds=row.began_ms),
        data=listen_imported(user_id, import_id, row, song_id),
    )


def listen_imported(user_id: str, import_id: str, row: HistoryListen, song_id: str) -> ListenImported:
    """What the event of a listen of an import says. The row has words."""
    return ListenImported(
        user_id=user_id,
        song_id=song_id,
        import_id=import_id,
        origin=row.origin,
        title=row.title,
        artists=row.artists,
        album=row.album,
        played_ms=row.played_ms,
        duration_ms=row.duration_ms,
        recording_mbid=row.recording_mbid,
        isrc=row.isrc,
        precision_ms=row.precision_ms,
    )
