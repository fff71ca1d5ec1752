"""An unexpected error in a fold costs its record and nothing else, however it ends the worker."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.processors.runtime.process import CRASHED_IN_FOLD
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS, PARKED, TRENDING_PARTIALS
from tests.integration.trending.test_worker import play, send
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import QUICK, TrendingWorker, make_containers, one_chart, parked_records

PLAYS = 60
MOST_STARTS = 12
HANG = {"SONGLINE_TRENDING_HANG": "2"}


@pytest.mark.parametrize(
    ("stage", "how", "hub"),
    [
        ("cells", "raise", MUSIC_EVENTS),
        ("cells", "hang", MUSIC_EVENTS),
        ("shards", "raise", TRENDING_PARTIALS),
    ],
)
async def test_a_record_that_ends_the_worker_is_found_and_parked(
    localcloud: LocalCloud, tmp_path: Path, stage: str, how: str, hub: str
) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    now = datetime.now(UTC)
    bodies = [(number % 2, play(number, now)) for number in range(PLAYS)]
    bodies.insert(37, (1, play(PLAYS, now, "culprit")))
    await send(settings, bodies)
    # A busy machine may keep any worker from its turn for longer than that.
    hang = HANG if how == "hang" else {}
    config = {**QUICK, **hang, "SONGLINE_TEST_STAGE": stage, "SONGLINE_TEST_HOW": how}
    worker = TrendingWorker(localcloud, tmp_path / "worker.log", config, "tests.support.crashing_trending")
    codes = []
    try:
        async with cosmos.client(settings.cosmos) as client:
            # Of this one client: to enter another is no thing to cancel, it leaves its session open.
            charts, parking = (cosmos.container(client, DATABASE, name) for name in (CHARTS, PARKED))
            for _ in range(MOST_STARTS):
                worker.start()
                done = asyncio.create_task(wait_for_async(partial(mended, parking, charts), f"{PLAYS} plays", 150))
                ended = asyncio.create_task(asyncio.to_thread(worker.wait, 200))
                await asyncio.wait((done, ended), return_when=asyncio.FIRST_COMPLETED)
                if done.done() and await done and worker.running:
                    break
                done.cancel()
                codes.append(await ended)
            assert worker.running, worker.said
    finally:
        worker.kill()
    assert set(codes) == {CRASHED_IN_FOLD}, worker.said
    # A busy machine may keep a worker from its turn for as long as a hang.
    assert len(codes) <= {"raise": 1, "hang": 6}.get(how, 4)
    (parked,) = await parked_records(settings)
    assert (parked.hub, parked.readers["trending"].reason) == (hub, "crashes-the-fold")
    assert b"culprit" in parked.body_beginning
    if how == "raise":
        assert parked.readers["trending"].detail == "RuntimeError: nobody foresaw it"


async def mended(parking: ContainerProxy, charts: ContainerProxy) -> bool:
    """Whether all the others are counted, and something is parked."""
    if not [one async for one in parking.query_items("SELECT * FROM c")]:
        return False
    chart = await one_chart(charts, "top:1h:global")
    return chart is not None and any(one.song_id == "song-1" and one.listens == PLAYS for one in chart.entries)
