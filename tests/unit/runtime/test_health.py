"""What a worker serves of its health."""

from datetime import UTC, datetime

import httpx
import msgspec

from songline.cloud.credentials import FailedRenewal
from songline.processors.runtime.health import serve_health
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, PartitionProgress, ProgressReport, not_ready

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


async def test_ready_is_what_the_progress_says_and_head_is_answered_like_get() -> None:
    reasons: list[NotReadyReason] = []
    behind = PartitionProgress(
        hub="music-events",
        partition="3",
        position=1,
        end=9,
        events_behind=8,
        age_seconds=1.5,
        events_per_second=None,
        seconds_to_catch_up=None,
    )

    def report() -> ProgressReport:
        return ProgressReport(worker="library", as_of=NOON, partitions=(behind,), reasons=tuple(reasons))

    async with (
        serve_health(0, report) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        assert (await http.get("/health/ready")).json() == {"status": "ready"}
        reasons.append(not_ready("library", NotReadyCause.HUB_MADE_ANEW, "the hub was made anew"))
        refused = await http.get("/health/ready")
        assert refused.status_code == 503
        assert refused.json()["reasons"] == ["the hub was made anew: songline checkpoints reset library"]
        told = await http.get("/health/progress")
        assert told.status_code == 200
        assert msgspec.json.decode(told.content, type=ProgressReport) == report()
        assert told.json()["partitions"][0]["eventsBehind"] == 8
        for path, status in (("live", 200), ("ready", 503), ("progress", 200)):
            head = await http.head(f"/health/{path}")
            assert (head.status_code, head.content) == (status, b"")
        reasons.clear()
        assert (await http.head("/health/ready")).status_code == 200


async def test_a_token_that_can_not_be_renewed_is_told_while_the_worker_works() -> None:
    failing: list[FailedRenewal] = []

    def report() -> ProgressReport:
        return ProgressReport(worker="library", as_of=NOON)

    async with (
        serve_health(0, report, failed_renewals=lambda: failing) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        assert (await http.get("/health/ready")).status_code == 200
        failing.append(FailedRenewal(("https://a/.default",), OSError("away"), 0.0, 60.0))
        refused = await http.get("/health/ready")
        assert refused.status_code == 503
        sentence = (
            "the token for https://a/.default can't be renewed and ends at 1970-01-01T00:01:00+00:00: OSError: away"
        )
        assert refused.json()["reasons"] == [f"{sentence}: songline doctor"]
        progress = msgspec.json.decode((await http.get("/health/progress")).content, type=ProgressReport)
        assert [(one.cause, one.sentence) for one in progress.reasons] == [(NotReadyCause.ACCESS_DENIED, sentence)]
        assert (await http.get("/health/live")).status_code == 200
