"""The worker starts as every worker does: it serves health while it waits, takes over from the process before that was
killed, and ends at SIGTERM."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer

from songline.cloud.kafka import client_options
from songline.processors.runtime.owner_file import hold_owner_file
from songline.processors.runtime.projection_config import DATA
from songline.processors.trending import process
from songline.processors.trending.faust.group_members import RemovedMembers, remove_members
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.progress_report import NotReadyCause, ProgressReport
from tests.support.localcloud import LocalCloud, nobody
from tests.support.waiting import wait_for, wait_for_async
from tests.support.worker import QUICK, TrendingWorker, make_containers


def test_it_serves_health_while_the_hub_is_away_and_ends_at_once(tmp_path: Path) -> None:
    worker = TrendingWorker(nobody(tmp_path / "data"), tmp_path / "worker.log").start()
    try:
        wait_for(lambda: "waiting: " in worker.said, "a log line that says what it waits for")
        ready = worker.health_url
        assert httpx.get(ready, timeout=60).status_code == 503
        assert httpx.get(ready.replace("/ready", "/live"), timeout=60).status_code == 200
        body = httpx.get(ready.replace("/ready", "/progress"), timeout=60).content
        (reason,) = msgspec.json.decode(body, type=ProgressReport).reasons
        assert reason.cause is NotReadyCause.SERVICE_AWAY
        assert reason.sentence.startswith("waiting: ")
        assert worker.stop() == 0, worker.said
    finally:
        worker.kill()
    assert "Traceback" not in worker.said


async def test_a_member_that_is_removed_is_in_the_group_no_more(localcloud: LocalCloud) -> None:
    settings = localcloud.settings()
    options = client_options(settings.eventhubs)
    consumer = AIOKafkaConsumer(MUSIC_EVENTS, group_id="removals", session_timeout_ms=300_000, **options)
    await consumer.start()
    try:
        await wait_for_async(_assigned(consumer), "the consumer to have joined")
        member = consumer._coordinator.member_id
        removed = await remove_members(settings.eventhubs, "removals", [member, "never-there"])
        assert removed == RemovedMembers(1, frozenset(consumer.assignment()))
        assert await remove_members(settings.eventhubs, "removals", [member]) == RemovedMembers(0, frozenset())
    finally:
        await consumer.stop()


@pytest.mark.parametrize("place", ["nowhere", "refused"])
async def test_a_worker_starts_also_where_members_can_not_be_removed(
    shared_localcloud: LocalCloud, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    (tmp_path / "trending-0.txt").write_text("here one two")
    cloud = nobody(tmp_path / "data") if place == "nowhere" else shared_localcloud
    # No group has an empty name.
    with hold_owner_file(tmp_path, "trending", "here") as owners:
        assert owners.earlier == {"one", "two"}
        assert not await process._remove_earlier(cloud.settings().eventhubs, "", owners)
        assert not owners.earlier
    said = {"nowhere": ["stay for their session"], "refused": ["member one is not", "member two is not"]}
    assert all(line in caplog.text for line in said[place])


async def test_nobody_waits_for_the_session_of_a_process_that_was_killed(
    localcloud: LocalCloud, tmp_path: Path
) -> None:
    await make_containers(localcloud.settings())
    config = {**QUICK, DATA: str(tmp_path), "SONGLINE_TRENDING_SESSION_MS": "300000"}
    worker = TrendingWorker(localcloud, tmp_path / "worker.log", config).start()
    try:
        await wait_for_async(worker.is_ready, "the worker to be ready", 60)
        # Its name is noted a moment later.
        owners = tmp_path / "owners" / "trending-0.txt"
        wait_for(lambda: owners.exists() and len(owners.read_text().splitlines()) == 2, "its name in the file")
        worker.kill()
        again = TrendingWorker(localcloud, tmp_path / "again.log", config).start()
        try:
            await wait_for_async(again.is_ready, "the next worker to be ready", 60)
        finally:
            again.stop()
    finally:
        worker.kill()


def _assigned(consumer: AIOKafkaConsumer) -> Callable[[], Awaitable[bool]]:
    async def assigned() -> bool:
        return bool(consumer.assignment())

    return assigned
