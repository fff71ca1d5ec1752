"""What the doctor says of erasures: which wait, which are stuck, where and why."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from songline.doctor.erasures import erasure_findings
from songline.doctor.facts import ErasureFacts
from songline.schemas.erasures import Erasure, StepProgress

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
WHY = "Capture is at 3 of 9 in partition 0"


def erasure(state: Any, due_h: float, begun_h: float | None = None, lease_h: float = 0, why: str = "") -> Erasure:
    """One that was due, begun and let go of so many hours ago."""
    due, let_go = NOW - timedelta(hours=due_h), NOW - timedelta(hours=lease_h)
    return Erasure(
        id="e-1", state=state, songs="keep", requested_at=due, due_at=due, by="tests", user_id="anna",
        lease_until=None if begun_h is None else let_go,
        begun_at=None if begun_h is None else NOW - timedelta(hours=begun_h),
        progress=None if begun_h is None else StepProgress(name="archive", waits_for=why),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "status", "text"),
    [
        (erasure("waiting", -3), "ok", "waits for its undo window, until 2026-11-28 15:00 UTC"),
        (erasure("waiting", 3), "warn", "was due 3 h ago and has not begun"),
        (erasure("running", 3, 0.5), "ok", "began 30 min ago and is at archive"),
        (erasure("running", 3, 0.5, why=WHY), "ok", f"waits at archive: {WHY}"),
        (erasure("running", 90, 72, why=WHY), "warn", f"began 3 days ago and waits at archive: {WHY}"),
        (erasure("running", 90, 72, 50), "warn", "is at archive, and no worker has had it for 2 days"),
    ],
)
def test_an_open_erasure_is_named(found: Erasure, status: str, text: str) -> None:
    (line,) = erasure_findings(ErasureFacts((found,), (), NOW))
    assert (line.status, text in line.seen) == (status, True), line
    assert "e-1" in line.seen
    assert "anna" not in str(line)
    assert bool(line.mend) == (status == "warn")


def test_what_is_none_is_named_and_nothing_is_said_of_nothing() -> None:
    (line,) = erasure_findings(ErasureFacts((), ("odd",), NOW))
    assert "document 'odd'" in line.seen
    assert not list(erasure_findings(ErasureFacts((), (), NOW)))
