"""A small history of an audit: what was accepted, what the hub holds, and the answers that are right for it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from songline.audit import chart_reference
from songline.audit.hub_log import HubLog, HubLogRecord, hub_log
from songline.audit.ledger import Ledger
from songline.audit.library_check import LibraryAnswers
from songline.audit.library_reference import Shelf, libraries
from songline.schemas.documents import Chart, ChartEntry
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongUploaded
from songline.schemas.library.answers import LibraryEntry, LibrarySummary, RecentListen
from songline.schemas.plays import HourPlays, SongPlays
from songline.schemas.songs import Song

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_S = NOON.timestamp()


def event(number: int, data: Payload) -> Event:
    """Event `e-NUMBER`, so many seconds before noon that a later number is a later event."""
    return Event(id=f"e-{number}", source="/tests", time=NOON - timedelta(seconds=600 - number), data=data)


def played(number: int, user: str = "user-1", song: str = "song-1") -> Event:
    return event(number, SongPlayed(user_id=user, song_id=song, played_ms=60_000, region="DE"))


def small_history() -> list[Event]:
    """Two listeners, two songs, a like: in the order in which they were accepted."""
    uploaded = SongUploaded(user_id="user-2", song_id="song-1", title="A", artist="B", duration_ms=90_000)
    return [
        event(0, uploaded),
        played(1),
        played(2, "user-2"),
        played(3, song="song-2"),
        event(4, SongLiked(user_id="user-1", song_id="song-1")),
        played(5, "user-2", "song-2"),
    ]


def ledger_of(events: Iterable[Event]) -> Ledger:
    """All of them were accepted, in this order."""
    ledger = Ledger()
    for one in events:
        ledger.offered.add(one.id)
        ledger.accept([(one.id, one.partition_key, encode(one))])
    return ledger


def log_of(events: Iterable[Event | bytes]) -> HubLog:
    """The hub holds them in this order, in two partitions by listener; bytes are in the first one."""
    ends = {0: -1, 1: -1}
    records: list[HubLogRecord] = []
    for one in events:
        partition = 0 if isinstance(one, bytes) else sum(one.partition_key.encode()) % 2
        ends[partition] += 1
        body = one if isinstance(one, bytes) else encode(one)
        records.append(HubLogRecord(partition, ends[partition], NOON_S - 600 + len(records), body))
    return hub_log(records)


def right_charts(log: HubLog) -> dict[str, Chart]:
    """The charts at noon."""
    found = {}
    for key, lines in chart_reference.charts(log.events, NOON).items():
        kind, window, scope = key.split(":", 2)
        entries = [
            ChartEntry(
                rank=one.rank, song_id=one.song_id, title=one.title, artist=one.artist, genre=one.genre,
                listens=one.listens, likes=one.likes, score=one.score, previous_rank=None,
            )
            for one in lines
        ]  # fmt: skip
        found[key] = Chart(
            kind="top" if kind == "top" else "trending", window=window, scope=scope, policy="v1",  # type: ignore[arg-type]
            as_of=NOON, complete_through=NOON, position=log.ends, entries=entries,
        )  # fmt: skip
    return found


def right_plays(log: HubLog) -> dict[str, SongPlays]:
    """The hours of each song that was played."""
    hours: dict[str, list[HourPlays]] = {}
    for (song, hour), (listens, likes, unlikes) in chart_reference.plays(log.events).items():
        moment = datetime.fromisoformat(f"{hour}:00:00+00:00")
        hours.setdefault(song, []).append(
            HourPlays(hour=moment, listens=listens, likes=likes, unlikes=unlikes, counting=False)
        )
    return {
        song: SongPlays(as_of=NOON, complete_through=NOON, position=log.ends, song_id=song, hours=tuple(some))
        for song, some in hours.items()
    }


def right_songs(log: HubLog) -> dict[str, Song]:
    """The catalog."""
    found = {}
    for song, said in chart_reference.song_facts(log.events).items():
        if isinstance(said.data, SongUploaded):
            found[song] = Song(
                id=song, user_id=said.data.user_id, title=said.data.title, artist=said.data.artist,
                duration_ms=said.data.duration_ms, uploaded_at=said.time, genre=said.data.genre,
            )  # fmt: skip
    return found


def right_libraries(log: HubLog) -> dict[str, LibraryAnswers]:
    """All libraries."""
    return {user: _answers(user, shelf, log.ends) for user, shelf in libraries(log.events).items()}


def _answers(user: str, shelf: Shelf, position: Mapping[str, int]) -> LibraryAnswers:
    named = {"title": None, "artist": None, "genre": None}
    entries = [
        LibraryEntry(
            song_id=song, plays=row.plays, ms_played=row.ms_played, first_played_at=row.first, last_played_at=row.last,
            liked=row.liked_at is not None, liked_at=row.liked_at, uploaded=row.uploaded_at is not None,
            uploaded_at=row.uploaded_at, **named,
        )
        for song, row in shelf.rows.items()
    ]  # fmt: skip
    recent = [RecentListen(at=at, song_id=song, ms_played=ms, **named) for at, song, ms in shelf.recent]
    listens, ms, songs, liked, uploaded, first, last = shelf.totals
    summary = LibrarySummary(
        as_of=NOON, complete_through=NOON, position=dict(position), user_id=user, listens=listens, ms_played=ms,
        songs=songs, liked=liked, uploaded=uploaded, first_listen_at=first, last_listen_at=last,
    )  # fmt: skip
    return LibraryAnswers(tuple(entries), tuple(recent), summary)
