"""The hub is made anew, or grows, under the worker: nothing is passed over without a word, and a command mends it."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import msgspec
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.repair.checkpoints import PROJECTIONS, opened
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS, TRENDING_CELLS_CHANGELOG
from songline.schemas.documents import Chart
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport
from tests.integration.trending.test_worker import play, send
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, make_containers, one_chart

DEADLINE = 120.0


async def test_a_hub_made_anew_is_read_after_a_reset_and_not_before(localcloud: LocalCloud, tmp_path: Path) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    now = datetime.now(UTC)
    await send(settings, [(0, play(number, now)) for number in range(40)])
    worker = TrendingWorker(localcloud, tmp_path / "worker.log").start()
    try:
        async with cosmos.client(settings.cosmos) as client:
            container = cosmos.container(client, DATABASE, CHARTS)
            await until(container, counted(40, 39), "40 plays")
            assert worker.stop() == 0, worker.said
            # With fewer events than were read before.
            localcloud.remake_hub(MUSIC_EVENTS)
            await send(settings, [(0, play(100 + number, now)) for number in range(18)])
            worker.start()
            reason = await told(worker, NotReadyCause.HUB_MADE_ANEW)
            assert (reason.partition, reason.mend) == ("0", "songline checkpoints reset trending --partition 0")
            assert "own position 39, the hub holds 0 to 17" in reason.sentence
            await until(container, counted(40, -1), "a chart that has nothing of the new hub")
            await reset(localcloud, "0")
            await until(container, counted(58, 17), "the plays of both hubs")
            # With more than were read before, and while the worker reads.
            await asyncio.to_thread(localcloud.remake_hub, MUSIC_EVENTS)
            await send(settings, [(0, play(200 + number, now)) for number in range(30)])
            await told(worker, NotReadyCause.HUB_MADE_ANEW)
            # What it read before it noticed is counted, and is not claimed.
            await until(
                container, lambda chart: chart.position["0"] == -1, "a chart that claims nothing of the third hub"
            )
            await reset(localcloud, "0")
            await until(container, counted(88, 29), "the plays of all three hubs")
            await wait_for_async(partial(ready, worker), "the worker to be ready", DEADLINE)
    finally:
        worker.kill()


async def test_a_partition_that_was_added_is_counted_once_its_changelog_is_as_wide(
    localcloud: LocalCloud, tmp_path: Path
) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    now = datetime.now(UTC)
    await asyncio.to_thread(localcloud.grow_hub, MUSIC_EVENTS, 6)
    await send(settings, [(number % 6, play(number, now)) for number in range(60)])
    worker = TrendingWorker(localcloud, tmp_path / "worker.log").start()
    try:
        async with cosmos.client(settings.cosmos) as client:
            container = cosmos.container(client, DATABASE, CHARTS)
            reason = await told(worker, NotReadyCause.PARTITIONS_ADDED)
            # As wide as for all that were added, or doing what it says would mend one of them only.
            assert reason.partition in ("4", "5")
            assert f"--name {TRENDING_CELLS_CHANGELOG} --partition-count 6" in reason.mend
            await until(container, lambda chart: listens(chart) == 40, "the plays of the other partitions")
            await asyncio.to_thread(localcloud.grow_hub, TRENDING_CELLS_CHANGELOG, 6)
            await until(container, lambda chart: listens(chart) == 60, "all plays")
            await wait_for_async(partial(ready, worker), "the worker to be ready", DEADLINE)
            # While it runs: Kafka clients learn of it minutes later only.
            await asyncio.to_thread(localcloud.grow_hub, MUSIC_EVENTS, 7)
            reason = await told(worker, NotReadyCause.PARTITIONS_ADDED)
            assert reason.partition == "6"
            assert f"--name {TRENDING_CELLS_CHANGELOG} --partition-count 7" in reason.mend
    finally:
        worker.kill()


def listens(chart: Chart) -> int:
    return chart.entries[0].listens if chart.entries else 0


def counted(plays: int, position: int) -> Callable[[Chart], bool]:
    return lambda chart: listens(chart) == plays and chart.position.get("0") == position


async def until(container: ContainerProxy, right: Callable[[Chart], bool], what: str) -> None:
    async def found() -> bool:
        chart = await one_chart(container, "top:1h:global")
        return chart is not None and right(chart)

    await wait_for_async(found, what, DEADLINE)


async def told(worker: TrendingWorker, cause: NotReadyCause) -> NotReadyReason:
    """The reason of this kind that the worker gives for not being ready."""

    async def found() -> NotReadyReason | None:
        report = await progress(worker)
        return next((one for one in report.reasons if one.cause is cause), None) if report is not None else None

    reason = await wait_for_async(found, f"the reason {cause}", DEADLINE)
    assert reason is not None
    assert not await ready(worker)
    return reason


async def progress(worker: TrendingWorker) -> ProgressReport | None:
    addresses = re.findall(r"health is served on (\S+)/ready", worker.said)
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            return msgspec.json.decode((await client.get(f"{addresses[-1]}/progress")).content, type=ProgressReport)
    except (httpx.HTTPError, IndexError):
        return None


async def ready(worker: TrendingWorker) -> bool:
    report = await progress(worker)
    return report is not None and report.ready


async def reset(cloud: LocalCloud, partition: str) -> None:
    async with opened(PROJECTIONS["trending"], cloud.environment) as checkpoints:
        (before,) = [one for one in await checkpoints.read() if one.partition == partition]
        assert before.mismatch
        assert await checkpoints.reset(partition) is not None
