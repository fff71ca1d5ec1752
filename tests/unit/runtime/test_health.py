"""What a worker serves of its health."""

from datetime import UTC, datetime

import httpx
import msgspec

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
