"""An hour begins while events come in: what the worker keeps of its first moment is what a rebuild makes of it."""

import asyncio
import os
import time
from collections.abc import Callable, Set
from itertools import islice
from pathlib import Path

import pytest
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.producers.publishing.publisher import EventPublisher
from songline.schemas.channels import CHARTS, DATABASE
from songline.schemas.documents import Chart, snapshot_id
from songline.schemas.moments import moment_at
from songline.schemas.projections import container_of
from tests.chaos.test_trending_killed import batched, publish, simulated
from tests.integration.history.test_charts_rebuild import documents
from tests.support.localcloud import LocalCloud
from tests.support.versions import Operator
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, make_containers

HOUR_S = 3_600
BEFORE_S = 150
"""The clocks of all processes begin so long before an hour: a worker meets an hour that begins a minute after it."""

CLOCK = """
import email.utils, os, sys, time, types
ahead_s = float(os.environ["CLOCK_AHEAD_S"])
clock, clock_ns = time.time, time.time_ns
# Requests are signed at a time that the test's own clients have too.
email.utils.time = types.SimpleNamespace(**vars(time))
if "localcloud" in sys.orig_argv:
    import localcloud.cosmos.server, localcloud.eventhubs.server
    localcloud.cosmos.server.time = email.utils.time
time.time = lambda: clock() + ahead_s
time.time_ns = lambda: clock_ns() + int(ahead_s * 1e9)
"""


async def snapshots(container: ContainerProxy, name: str) -> dict[str, Chart]:
    return {key: chart for (key, id_), chart in (await documents(container)).items() if id_ == name}


@pytest.fixture
def ahead_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """How far the clocks are ahead in all processes that are started."""
    now_s = time.time()
    ahead_s = (now_s // HOUR_S + 1) * HOUR_S - BEFORE_S - now_s
    ahead_s += 0 if ahead_s >= 0 else HOUR_S
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "clock"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("CLOCK_AHEAD_S", str(ahead_s))
    return ahead_s


@pytest.mark.timeout(900)
async def test_the_snapshots_of_an_hour_are_those_of_a_rebuild(
    ahead_s: float, start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    cloud = start_localcloud("--blobs")
    settings = cloud.settings()
    await make_containers(settings)
    hour_s = int((time.time() + ahead_s) // HOUR_S + 1) * HOUR_S
    first_moment = moment_at(hour_s * 1_000)
    name = snapshot_id(first_moment)
    worker = TrendingWorker(cloud, tmp_path / "worker.log", module="tests.support.patient_trending").start()
    try:
        async with EventPublisher(settings.eventhubs) as publisher, cosmos.client(settings.cosmos) as account:
            shares = islice(batched(simulated(8_000), 100), 80)
            await publish(publisher, next(shares))
            await wait_for_async(worker.is_ready, "the worker is ready", BEFORE_S)
            assert time.time() + ahead_s < hour_s - 61, "the worker began too late to meet the hour"
            await asyncio.sleep(hour_s - 10 - time.time() - ahead_s)
            for share in shares:
                if time.time() + ahead_s > hour_s + 10:
                    break
                await publish(publisher, share)
                await asyncio.sleep(0.3)

            live = cosmos.container(account, DATABASE, container_of(CHARTS, 1))

            async def kept(keys: Set[str]) -> dict[str, Chart] | None:
                found = await snapshots(live, name)
                is_met = keys <= found.keys() and {one.as_of for one in found.values()} == {first_moment}
                return found if is_met else None

            await wait_for_async(lambda: kept({"top:24h:global"}), "a snapshot of the hour's first moment", 120)
            await Operator(cloud).done("rebuild", CHARTS)
            rebuilt = await snapshots(cosmos.container(account, DATABASE, container_of(CHARTS, 2)), name)
            assert len(rebuilt) > 20
            # They are written one after the other.
            assert await wait_for_async(lambda: kept(rebuilt.keys()), "all that a rebuild makes", 120) == rebuilt
    finally:
        worker.stop()
