"""Songs and ingestions in the terminal."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, RenderableType

from songline.commands import ingestion, songs
from songline.schemas.ingestions import Audio, IngestionAnswer, Reason, Transition
from songline.schemas.songs import Song, SongsAnswer

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SONG = Song(
    id="song-1",
    user_id="user-3",
    title="[bold]Dusk\x1b",
    artist="Nova Reed",
    duration_ms=201_400,
    uploaded_at=NOON,
    genre="indie",
)


def printed(shown: RenderableType) -> str:
    console = Console(width=140, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def test_a_page_of_songs_says_how_fresh_it_is_and_how_to_go_on() -> None:
    text = printed(songs.page(SongsAnswer(as_of=NOON, complete_through=None, position={}, songs=(SONG,), next="abc")))
    for expected in ("song-1", "[bold]Dusk\ufffd — Nova Reed", "indie", "3:21", "not known yet", "--cursor abc"):
        assert expected in text
    last = printed(songs.page(SongsAnswer(as_of=NOON, complete_through=NOON, position={}, songs=(), next=None)))
    assert "no songs" in last
    assert "complete through 2026-11-22 12:00:00 UTC" in last
    assert "--cursor" not in last


@pytest.mark.parametrize(("ms", "expected"), [(0, "0:00"), (59_600, "1:00"), (3_600_000, "60:00")])
def test_a_length_is_minutes_and_seconds(ms: int, expected: str) -> None:
    assert songs.length(ms) == expected


def answer(**fields: object) -> IngestionAnswer:
    known: dict[str, object] = {
        "as_of": NOON,
        "id": "i-1",
        "user_id": "user-7",
        "state": "ready",
        "received_at": NOON,
        "updated_at": NOON,
        "file_name": "dusk\x1b.flac",
        "content_type": "audio/flac",
        "sha256": "ab" * 32,
        "size": 1_234_567,
        "attempts": 1,
        "reason": None,
        "song_id": "i-1",
        "audio": Audio(format="flac", content_type="audio/flac", duration_ms=1_500, title="Dusk", artist="Nova Reed"),
        "removed_at": None,
        "history": (Transition(state="received", at=NOON), Transition(state="ready", at=NOON + timedelta(seconds=2))),
    }
    return IngestionAnswer(**(known | fields))  # type: ignore[arg-type] # a mapping of fields


def test_an_ingestion_is_shown_with_every_step() -> None:
    text = printed(ingestion.page(answer()))
    for expected in ("dusk\ufffd.flac, 1,234,567 bytes", "Dusk — Nova Reed", "flac, 1.5 s", "12:00:02  ready"):
        assert expected in text
    assert "attempts" not in text
    assert "removed" in printed(ingestion.page(answer(removed_at=NOON)))


def test_why_it_did_not_get_in_is_said_in_words() -> None:
    why = Reason(cause="cut-off", text="The file is cut off.\x1b")
    text = printed(ingestion.page(answer(state="rejected", reason=why, song_id=None, audio=None, attempts=3)))
    assert "The file is cut off.\ufffd (cut-off)" in text
    assert "attempts" in text
    step = Transition(state="rejected", at=NOON, reason=why)
    assert ingestion.line(step) == "2026-11-22 12:00:00  rejected    The file is cut off.\ufffd"
