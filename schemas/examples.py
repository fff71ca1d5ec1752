"""One example of each event and document: they stand in the published schemas and in the API's pages."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from schemas.documents import Chart, ChartEntry
from schemas.envelope import Event
from schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from schemas.library import Library, LibraryEntry, LibrarySummary, Recent, RecentListen

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

CHART = Chart(
    kind="top",
    window="1h",
    scope="global",
    policy="v1",
    as_of=datetime(2026, 11, 22, 14, 0, 1, 250_000, tzinfo=UTC),
    complete_through=datetime(2026, 11, 22, 14, 0, 0, 900_000, tzinfo=UTC),
    position={"0": 1203, "1": 1187, "2": 1240, "3": 1199},
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

DOCUMENTS: dict[type[Struct], Struct] = {type(one): one for one in (CHART, LIBRARY, RECENT, LIBRARY_SUMMARY)}
