"""The worker follows the live version of the charts: on from what was handed over, and back from where it was."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec
from azure.cosmos.aio import ContainerProxy
from msgspec import structs

from songline.audit import chart_reference as reference
from songline.audit.chart_check import lasting, lines, minute
from songline.audit.chart_reference import Rules
from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs
from songline.processes.entities import CONTAINERS
from songline.processors.runtime.process import VERSION_CHANGED
from songline.processors.trending.state_version import StateVersion
from songline.processors.trending.state_writer import remove_state
from songline.processors.trending.version_policy import write_policy
from songline.producers.publishing.publisher import EventPublisher
from songline.repair import checkpoints
from songline.schemas.channels import (
    ATTEMPTS,
    CHARTS,
    DATABASE,
    PLAYS,
    PROJECTIONS,
    TRENDING_BLOBS,
)
from songline.schemas.documents import Chart
from songline.schemas.policy import V1, Weights
from songline.schemas.projections import LiveVersionDocument, container_of
from tests.chaos.test_trending_killed import batched, complete, publish, simulated
from tests.support.localcloud import LocalCloud
from tests.support.trending import hours as hours_of
from tests.support.trending_rebuild import hand_over
from tests.support.waiting import wait_for_async
from tests.support.worker import (
    QUICK,
    TrendingWorker,
    current,
    make_containers,
    parked_records,
    read_hub,
    shards_reached,
    song_days,
    told_apart,
)

SHARE = 1_500
Counts = tuple[int, int, int]
SECOND = StateVersion(2)
"""Its rules are others, so that the two can't be taken for each other."""
OTHER = structs.replace(V1, name="other", weights=Weights(listen=1, like=9))
OTHER_RULES = Rules(like_weight=9)


async def test_a_switch_and_a_switch_back_count_everything_once(
    start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    cloud = start_localcloud("--blobs")
    settings = cloud.settings()
    await make_containers(settings)
    shares = list(islice(batched(simulated(4 * SHARE), SHARE), 4))
    worker = TrendingWorker(cloud, tmp_path / "worker.log", {**QUICK, "SONGLINE_TRENDING_PLAYS": "1000"}).start()
    async with AsyncExitStack() as stack:
        stack.callback(worker.stop)
        account = await stack.enter_async_context(cosmos.client(settings.cosmos))
        store = await stack.enter_async_context(blobs.client(read_blobs(cloud.environment)))
        publisher = await stack.enter_async_context(EventPublisher(settings.eventhubs))
        hours = store.get_container_client(TRENDING_BLOBS)
        attempts, projections, first, second = (
            cosmos.container(account, DATABASE, name)
            for name in (ATTEMPTS, PROJECTIONS, CHARTS, container_of(CHARTS, 2))
        )
        declared = next(one for one in CONTAINERS if one.name == CHARTS)
        await cosmos.ensure(account, DATABASE, (structs.replace(declared, name=second.id),))

        async def switch(version: int, projection: str = CHARTS) -> None:
            document = LiveVersionDocument(id=projection, version=version)
            await projections.upsert_item(msgspec.to_builtins(document))
            assert await asyncio.to_thread(worker.wait) == VERSION_CHANGED, worker.said
            worker.start()

        async def equal(container: ContainerProxy, rules: Rules) -> None:
            """All charts are those of the reference for all that is in the hub."""
            records = await read_hub(settings)
            log, _ = told_apart(records)
            ends = {str(partition): offset for partition, offset, _ in sorted(records)}
            keys = lasting(reference.charts(log, datetime.now(UTC), rules=rules))
            charts: dict[str, Chart] = await wait_for_async(
                partial(complete, container, ends, keys), f"every chart of {container.id} at {ends}", 90
            )
            expected = {at: reference.charts(log, at, rules=rules) for at in {minute(one) for one in charts.values()}}
            for key, chart in charts.items():
                assert lines(chart) == expected[minute(chart)].get(key, []), (container.id, key, chart.as_of)

        await publish(publisher, shares[0])
        await equal(first, reference.USUAL)
        # What comes while the second version is made from what was there before, and until it is live.
        handed = await read_hub(settings)
        await publish(publisher, shares[1])
        await write_policy(projections, 2, OTHER)
        positions = await hand_over(settings, attempts, hours, SECOND, handed, OTHER)
        assert sum(positions.values()) == sum(offset for offset in _ends(handed).values())
        await switch(2)
        await publish(publisher, shares[2])
        worker.kill()
        worker.start()
        await equal(second, OTHER_RULES)
        async with checkpoints.opened(checkpoints.PROJECTIONS["trending"], cloud.environment) as of_trending:
            noted = {int(one.partition): one.position for one in await of_trending.read()}
        assert all((noted[number] or -1) >= position for number, position in positions.items()), noted
        assert {chart.policy for chart in (await current(second)).values()} == {OTHER.label}

        await switch(1)
        await publish(publisher, shares[3])
        await equal(first, reference.USUAL)
        assert await parked_records(settings) == []

        # All days go to another version of them, also those that are written already.
        days = cosmos.container(account, DATABASE, container_of(PLAYS, 2))
        declared = next(one for one in CONTAINERS if one.name == PLAYS)
        await cosmos.ensure(account, DATABASE, (structs.replace(declared, name=days.id),))
        await switch(2, PLAYS)
        records = await read_hub(settings)
        ends = {str(partition): offset for partition, offset in _ends(records).items()}
        await wait_for_async(partial(shards_reached, days, ends), "all songs' days in the second version of them", 120)
        # Days that no window shows are a rebuild's to write.
        oldest = f"{datetime.now(UTC) - timedelta(days=6):%Y-%m-%dT%H}"
        found, right = hours_of(await song_days(days)), reference.plays(told_apart(records)[0])
        assert _since(oldest, found) == _since(oldest, right)

        assert await remove_state(SECOND, settings.eventhubs, hours, attempts) > 0
        assert worker.running, worker.said
        worker.kill()
        worker.start()
        await equal(first, reference.USUAL)
        assert await remove_state(SECOND, settings.eventhubs, hours, attempts) == 0


def _ends(records: Sequence[tuple[int, int, bytes]]) -> dict[int, int]:
    return {partition: offset for partition, offset, _ in sorted(records)}


def _since(hour: str, counts: Mapping[tuple[str, str], Counts]) -> dict[tuple[str, str], Counts]:
    return {place: count for place, count in counts.items() if place[1] >= hour}
