"""When a command is of use, and what its document says then."""

from datetime import UTC, datetime

import pytest

from songline.producers.http.upload_routes import file_name
from songline.producers.uploads.upload_record import awaits_command, queued
from songline.schemas.commands import Upload
from songline.schemas.ingestions import STATES, Cause, Ingestion, Reason, State

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)


def ingestion(state: State, cause: Cause | None = None, removed: bool = False) -> Ingestion:
    return Ingestion(
        id="i",
        user_id="u",
        state=state,
        received_at=NOW,
        updated_at=NOW,
        upload=Upload(sha256="ab" * 32, size=1, content_type="audio/wav"),
        reason=Reason(cause=cause, text="So it is.") if cause else None,
        removed_at=NOW if removed else None,
    )


def test_a_command_is_sent_where_none_is_under_way_and_none_came_to_an_end_for_cause() -> None:
    assert {state for state in STATES if awaits_command(ingestion(state))} == {"received", "dead"}
    assert awaits_command(ingestion("rejected", "unfinished"))
    assert not awaits_command(ingestion("rejected", "not-audio"))
    assert not any(awaits_command(ingestion(state, removed=True)) for state in STATES)


def test_queued_forgets_the_reason_and_keeps_the_history() -> None:
    after = queued(ingestion("dead", "failed"), NOW)
    assert (after.state, after.reason, [step.state for step in after.history]) == ("queued", None, ["queued"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (None, None),
        ("", None),
        ("../../etc/passwd", "passwd"),
        ("C:\\music\\a.mp3", "a.mp3"),
        ("a\x1b[31m\n.mp3", "a[31m.mp3"),
        ("é" * 300, "é" * 255),
        ("dir/", None),
    ],
)
def test_a_file_name_is_a_name_and_can_be_shown(sent: str | None, kept: str | None) -> None:
    assert file_name(sent) == kept
