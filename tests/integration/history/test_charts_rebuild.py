"""Charts and songs' days are rebuilt by commands that are killed, equal the rules in words, and go on as live ones."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from songline.audit import chart_reference as reference
from songline.audit.chart_check import lasting, minute
from songline.audit.chart_check import lines as lines_of
from songline.audit.chart_reference import Line, Rules
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processors.history.charts.trending_state import open_hours
from songline.processors.history.erasure import erasure_store
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.runtime.process import VERSION_CHANGED
from songline.processors.trending.state_version import StateVersion
from songline.processors.trending.state_writer import remove_state
from songline.producers.publishing.publisher import EventPublisher
from songline.schemas.channels import ATTEMPTS, CHARTS, DATABASE, ERASURES, PLAYS
from songline.schemas.documents import CURRENT, Chart, snapshot_id
from songline.schemas.moments import moment_at
from songline.schemas.plays import SongDay
from songline.schemas.policy import V1, policy_text
from songline.schemas.projections import container_of
from tests.chaos.test_trending_killed import batched, complete, publish, simulated
from tests.integration.history.test_as_of import numbered, write_archive
from tests.support.history import HistoryEvent, in_time, random_history
from tests.support.localcloud import LocalCloud
from tests.support.trending import hours
from tests.support.versions import Operator, kill_midway
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, make_containers, read_hub, told_apart
from tests.unit.history.test_chart_replay import act, expected
from tests.unit.history.test_names_to_come import erasure
from tests.unit.trending.test_pipeline import PARTITIONS, USERS, lines

HOUR_S = 3_600
DAY_S = 86_400
SHARE = 800
OTHER_RULES = Rules(like_weight=9, excluded=("user-1",))
OTHER = policy_text(msgspec.structs.replace(V1, name="calm", version=2)).replace("like = 4", "like = 9")
OTHER_POLICY = OTHER.replace("excluded_listeners = []", 'excluded_listeners = ["user-1"]')


@pytest.fixture
def history() -> list[HistoryEvent]:
    """A day or two, the last of whose events came an hour ago."""
    for seed in range(1_000):
        found = random_history(Random(seed), 10 * DAY_S, 60, act)
        span_s = found[-1].second - 10 * DAY_S
        if span_s < 2 * DAY_S:
            return random_history(Random(seed), int(time.time()) - HOUR_S - span_s, 60, act)
    raise AssertionError("no history is so short")


@pytest.fixture
async def cloud(own_cloud: LocalCloud, history: list[HistoryEvent]) -> LocalCloud:
    await make_containers(own_cloud.settings())
    await write_archive(own_cloud, numbered(history))
    return own_cloud


@pytest.fixture
async def account(cloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        yield client


async def documents(container: ContainerProxy) -> Mapping[tuple[str, str], Chart]:
    """All charts of a version, by key and id."""
    query = "SELECT * FROM c WHERE IS_DEFINED(c.entries)"
    return {(one["chart"], one["id"]): msgspec.convert(dict(one), Chart) async for one in container.query_items(query)}


def snapshots(history: Sequence[HistoryEvent], until_s: int, rules: Rules) -> dict[tuple[str, str], list[Line]]:
    """The snapshots of some hours by the rules in words, by key and id."""
    found: dict[tuple[str, str], list[Line]] = {}
    last = until_s // HOUR_S
    for hour in [*range(last - 4, last + 1), *range(history[0].second // HOUR_S + 1, last, 31)]:
        charts = expected(history, hour * HOUR_S - 1, hour * HOUR_S, rules)
        name = snapshot_id(moment_at(hour * HOUR_S * 1_000))
        found |= {(key, name): entries for key, entries in charts.items()}
    return found


@pytest.mark.parametrize("kills_s", [(), (3.0, 4.0, 5.0, 6.0, 8.0)], ids=["whole", "killed"])
async def test_rebuilt_charts_and_days_are_those_of_the_rules(
    cloud: LocalCloud, account: CosmosClient, history: list[HistoryEvent], tmp_path: Path, kills_s: Sequence[float]
) -> None:
    operator = Operator(cloud)
    policy = tmp_path / "calm.toml"
    policy.write_text(OTHER_POLICY)
    until_s = history[-1].second - 30
    until = moment_at(until_s * 1_000).isoformat()
    command = ("rebuild", CHARTS, "--policy", str(policy), "--until", until)
    killed = [await kill_midway(await operator.begin(*command), after_s) for after_s in kills_s]
    if not kills_s:
        outcome = await operator.run("rebuild", CHARTS, "--until", "1999-01-01T00:00:00Z")
        assert outcome.code == 2
        assert "the history begins at" in outcome.said
    said = await operator.done(*command)
    assert "version 2 of charts is built until" in said

    charts = await documents(cosmos.container(account, DATABASE, container_of(CHARTS, 2)))
    current = {key: chart for (key, id_), chart in charts.items() if id_ == CURRENT and chart.entries}
    assert lines(current) == expected(history, until_s, until_s, OTHER_RULES), killed
    assert {chart.policy for chart in charts.values()} == {"calm-v2"}
    for (key, name), wanted in snapshots(history, until_s, OTHER_RULES).items():
        assert lines({key: charts[key, name]})[key] == wanted, (key, name)

    if not kills_s:
        # Of what it saved, somebody's events have other names by now.
        await cosmos.ensure(account, DATABASE, (erasure_store.CONTAINER,))
        erasures = ErasureStore(cosmos.container(account, DATABASE, ERASURES))
        await erasures.create(erasure(USERS[0], {str(number): len(history) for number in range(PARTITIONS)}))
        assert "version 2 begins anew with the first event: a listener was forgotten" in await operator.done(*command)
        assert await documents(cosmos.container(account, DATABASE, container_of(CHARTS, 2))) == charts
        assert "begins anew" not in await operator.done(*command)

    said = await operator.done("rebuild", PLAYS, "--until", until)
    days = cosmos.container(account, DATABASE, container_of(PLAYS, 2))
    query = "SELECT * FROM c WHERE IS_DEFINED(c.total)"
    found = [msgspec.convert(dict(one), SongDay) async for one in days.query_items(query)]
    assert hours(found) == reference.plays(in_time(history, until_s))
    reached = await VERSIONED[PLAYS].watermarks(account, 2)
    assert reached
    assert all(one.created_at is not None for one in reached.values()), "it is known of which hub they are"


async def test_a_switched_version_goes_on_where_the_rebuild_ended(
    start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    """What came before the rebuild, during it and after the switch counts once, also after a kill."""
    cloud = start_localcloud("--blobs")
    settings = cloud.settings()
    await make_containers(settings)
    operator = Operator(cloud)
    policy = tmp_path / "calm.toml"
    policy.write_text(OTHER)
    rules = Rules(like_weight=9)
    shares = list(islice(batched(simulated(4 * SHARE), SHARE), 4))
    worker = TrendingWorker(cloud, tmp_path / "worker.log").start()
    try:
        async with EventPublisher(settings.eventhubs) as publisher, cosmos.client(settings.cosmos) as account:
            await publish(publisher, shares[0])
            rebuild = asyncio.create_task(operator.done("rebuild", CHARTS, "--policy", str(policy), "--switch"))
            await publish(publisher, shares[1])
            said = await rebuild
            assert "version 2 of charts is live" in said
            assert await asyncio.to_thread(worker.wait) == VERSION_CHANGED, worker.said
            worker.start()
            await publish(publisher, shares[2])
            worker.kill()
            worker.start()
            await publish(publisher, shares[3])

            container = cosmos.container(account, DATABASE, container_of(CHARTS, 2))
            records = await read_hub(settings)
            log, _ = told_apart(records)
            ends = {str(partition): offset for partition, offset, _ in sorted(records)}
            keys = lasting(reference.charts(log, datetime.now(UTC), rules=rules))
            charts: dict[str, Chart] = await wait_for_async(
                partial(complete, container, ends, keys), f"every chart at {ends}", 90
            )
            wanted = {at: reference.charts(log, at, rules=rules) for at in {minute(one) for one in charts.values()}}
            for key, chart in charts.items():
                assert lines_of(chart) == wanted[minute(chart)].get(key, []), (key, chart.as_of)
            assert {chart.policy for chart in charts.values()} == {"calm-v2"}

            await operator.done("projection", "drop", CHARTS, "1")
            attempts = cosmos.container(account, DATABASE, ATTEMPTS)
            async with open_hours(cloud.environment) as hours_left:
                assert await remove_state(StateVersion(1), settings.eventhubs, hours_left, attempts) == 0
    finally:
        worker.stop()
