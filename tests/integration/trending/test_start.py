"""The worker starts as every worker does: it serves health while it waits, and ends at SIGTERM."""

from pathlib import Path

import httpx
import msgspec

from songline.schemas.progress_report import NotReadyCause, ProgressReport
from tests.support.localcloud import nobody
from tests.support.waiting import wait_for
from tests.support.worker import TrendingWorker


def test_it_serves_health_while_the_hub_is_away_and_ends_at_once(tmp_path: Path) -> None:
    worker = TrendingWorker(nobody(tmp_path / "data"), tmp_path / "worker.log").start()
    try:
        wait_for(lambda: "waiting: " in worker.said, "a log line that says what it waits for")
        ready = worker.health_url
        assert httpx.get(ready).status_code == 503
        assert httpx.get(ready.replace("/ready", "/live")).status_code == 200
        body = httpx.get(ready.replace("/ready", "/progress")).content
        (reason,) = msgspec.json.decode(body, type=ProgressReport).reasons
        assert reason.cause is NotReadyCause.SERVICE_AWAY
        assert reason.sentence.startswith("waiting: ")
        assert worker.stop() == 0, worker.said
    finally:
        worker.kill()
    assert "Traceback" not in worker.said
