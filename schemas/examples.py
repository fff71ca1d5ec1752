"""One example of each event and document: they stand in the published schemas and in the API's pages."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from songline.schemas.commands import (
    Command,
    CommandPayload,
    ImportHistory,
    IngestSong,
    Metadata,
    RemoveSong,
    UndoImport,
    Upload,
)
from songline.schemas.documents import Chart, ChartEntry
from songline.schemas.envelope import Event
from songline.schemas.events import (
    ImportUndone,
    ListenImported,
    NameMatched,
    NameUnmatched,
    Payload,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.ingestions import Audio, IngestionAnswer, Transition
from songline.schemas.library.answers import Library, LibraryEntry, LibrarySummary, Recent, RecentListen
from songline.schemas.plays import HourPlays, SongPlays
from songline.schemas.songs import Song, SongAnswer, SongsAnswer

_MOMENT = datetime(2026, 11, 22, 14, 0, 0, 123_000, tzinfo=UTC)

_PAYLOADS: tuple[Payload, ...] = (
    SongPlayed(user_id="user-7", song_id="song-42", played_ms=184_000, duration_ms=201_000, region="DE", device="ios"),
    SongLiked(user_id="user-7", song_id="song-42", region="DE"),
    SongUnliked(user_id="user-7", song_id="song-42", region="DE"),
    SongUploaded(
        user_id="user-3",
        song_id="song-42",
        title="Paper Lanterns",
        artist="Nova Reed",
        duration_ms=201_000,
        genre="indie",
    ),
    SongRemoved(user_id="user-3", song_id="song-42"),
    ListenImported(
        user_id="user-7",
        song_id="name:9f86d081884c7d659a2feaa0c55ad015",
        import_id="019aabd1-5b7b-7000-8000-0000000000a1",
        origin="spotify",
        title="Paper Lanterns",
        artists=("Nova Reed", "Benno Falk"),
        album="Harbour",
        played_ms=184_000,
    ),
    ImportUndone(user_id="user-7", import_id="019aabd1-5b7b-7000-8000-0000000000a1"),
    NameMatched(user_id="user-1", name="name:9f86d081884c7d659a2feaa0c55ad015", song_id="song-42"),
    NameUnmatched(user_id="user-1", name="name:9f86d081884c7d659a2feaa0c55ad015"),
)

EVENTS: dict[type[Payload], Event] = {
    type(payload): Event(
        id=f"019aabd1-5b7b-7000-8000-00000000000{number}",
        source="/services/player",
        time=_MOMENT,
        data=payload,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    for number, payload in enumerate(_PAYLOADS, start=1)
}

FORMER_EVENTS: dict[str, dict[str, Any]] = {
    "songline.song.played.v1": {
        "specversion": "1.0",
        "id": "019aabd1-5b7b-7000-8000-000000000001",
        "source": "/services/player",
        "type": "songline.song.played.v1",
        "subject": "song-42",
        "time": "2026-11-22T14:00:00.123Z",
        "partitionkey": "user-7",
        "datacontenttype": "application/json",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "data": {
            "userId": "user-7",
            "songId": "song-42",
            "playedMs": 184_000,
            "durationMs": 201_000,
            "region": "DE",
            "device": "ios",
        },
    }
}
"""One example of each older version, by its type, as it is on the wire."""

_ORDERS: tuple[CommandPayload, ...] = (
    IngestSong(
        user_id="user-3",
        upload=Upload(
            sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            size=4_812_345,
            content_type="audio/flac",
            blob="019aabd1-5b7b-7000-8000-000000000042",
        ),
        file_name="paper-lanterns.flac",
        metadata=Metadata(title="Paper Lanterns"),
    ),
    RemoveSong(user_id="user-3", song_id="song-42"),
    ImportHistory(
        user_id="user-7",
        upload=Upload(
            sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            size=12_345_678,
            content_type="application/zip",
            blob="019aabd1-5b7b-7000-8000-000000000043",
        ),
        run=1,
        timezone="Europe/Berlin",
    ),
    UndoImport(user_id="user-7"),
)
COMMANDS: dict[type[CommandPayload], Command] = {
    type(order): Command(
        id=f"019aabd1-5b7b-7000-8000-00000000004{number}", source="/producers/api", time=_MOMENT, data=order
    )
    for number, order in enumerate(_ORDERS, start=2)
}

CHART = Chart(
    kind="top",
    window="1h",
    scope="global",
    policy="v1",
    as_of=datetime(2026, 11, 22, 14, 0, 1, 250_000, tzinfo=UTC),
    complete_through=datetime(2026, 11, 22, 14, 0, 0, 900_000, tzinfo=UTC),
    position={"0": 1203, "1": 1187, "2": 1240, "3": 1199},
    compared_with=datetime(2026, 11, 22, 13, 0, 0, 480_000, tzinfo=UTC),
    entries=[
        ChartEntry(
            rank=1,
            song_id="song-42",
            title="Paper Lanterns",
            artist="Nova Reed",
            genre="indie",
            listens=812,
            likes=31,
            score=812.0,
            previous_rank=3,
        )
    ],
)

_FRESH: dict[str, Any] = {
    "as_of": CHART.as_of,
    "complete_through": CHART.complete_through,
    "position": CHART.position,
}

LIBRARY = Library(
    user_id="user-7",
    entries=[
        LibraryEntry(
            song_id="song-42",
            title="Paper Lanterns",
            artist="Nova Reed",
            genre="indie",
            plays=12,
            ms_played=2_208_000,
            first_played_at=datetime(2026, 10, 3, 7, 12, 5, tzinfo=UTC),
            last_played_at=_MOMENT,
            liked=True,
            liked_at=datetime(2026, 10, 3, 7, 13, 40, tzinfo=UTC),
            uploaded=False,
            uploaded_at=None,
        )
    ],
    next="WyJieVJlY2VudCIs",
    **_FRESH,
)

RECENT = Recent(
    user_id="user-7",
    listens=[
        RecentListen(
            at=_MOMENT,
            song_id="song-42",
            title="Paper Lanterns",
            artist="Nova Reed",
            genre="indie",
            ms_played=184_000,
        )
    ],
    **_FRESH,
)

LIBRARY_SUMMARY = LibrarySummary(
    user_id="user-7",
    listens=3_402,
    ms_played=641_208_000,
    songs=388,
    liked=57,
    uploaded=0,
    first_listen_at=datetime(2025, 1, 9, 18, 30, tzinfo=UTC),
    last_listen_at=_MOMENT,
    **_FRESH,
)

SONG = Song(
    id="019aabd1-5b7b-7000-8000-000000000042",
    user_id="user-3",
    title="Paper Lanterns",
    artist="Nova Reed",
    duration_ms=201_000,
    uploaded_at=_MOMENT,
    album="Dusk",
    genre="indie",
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    size=4_812_345,
    content_type="audio/flac",
)

PLAYS = SongPlays(
    song_id="song-42",
    hours=(
        HourPlays(hour=datetime(2026, 11, 22, 13, tzinfo=UTC), listens=790, likes=28, unlikes=2, counting=False),
        HourPlays(hour=datetime(2026, 11, 22, 14, tzinfo=UTC), listens=22, likes=3, unlikes=0, counting=True),
    ),
    **_FRESH,
)

INGESTION = IngestionAnswer(
    as_of=CHART.as_of,
    id=SONG.id,
    user_id="user-3",
    state="ready",
    received_at=_MOMENT,
    updated_at=_MOMENT,
    file_name="paper-lanterns.flac",
    content_type="audio/flac",
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    size=4_812_345,
    attempts=1,
    reason=None,
    song_id=SONG.id,
    audio=Audio(
        format="flac", content_type="audio/flac", duration_ms=201_000, title="Paper Lanterns", artist="Nova Reed"
    ),
    removed_at=None,
    history=(
        Transition(state="received", at=_MOMENT),
        Transition(state="queued", at=_MOMENT),
        Transition(state="processing", at=_MOMENT),
        Transition(state="ready", at=_MOMENT),
    ),
)

DOCUMENTS: dict[type[Struct], Struct] = {
    type(one): one
    for one in (
        CHART,
        LIBRARY,
        RECENT,
        LIBRARY_SUMMARY,
        SongAnswer(song=SONG, **_FRESH),
        PLAYS,
        SongsAnswer(songs=(SONG,), next="MjAyNi0xMS0yMg", **_FRESH),
        INGESTION,
    )
}
