"""No partition is shared out, read or counted as nothing while a client does not know a hub."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import ConsumerStoppedError, UnknownTopicOrPartitionError

from songline.audit.hub_log import read_ends
from songline.processors.runtime.progress import ProgressBounds, ProgressTracker
from songline.processors.trending.config import TrendingConfig
from songline.processors.trending.faust import known_hubs
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.hub_table import add_table
from songline.processors.trending.faust.known_hubs import share_out_known_hubs
from songline.processors.trending.faust.lifecycle import run_until
from songline.processors.trending.faust.settings import faust_settings
from songline.processors.trending.prerequisites import partitions_by_hub
from songline.processors.trending.progress_observer import ProgressObserver
from songline.processors.trending.spans import READER
from songline.projections.live.hubs import HubCounter, HubsUnreachableError
from songline.schemas.channels import MUSIC_EVENTS, TRENDING_CELLS_CHANGELOG, TRENDING_TOPS
from songline.schemas.progress_report import NotReadyCause, NotReadyReason
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import QUICK

DEADLINE = 60.0
"""A client asks for the hubs again by itself after three minutes."""


@pytest.mark.parametrize("missing", [(MUSIC_EVENTS,), (TRENDING_TOPS,), (TRENDING_CELLS_CHANGELOG, MUSIC_EVENTS)])
async def test_partitions_are_shared_out_once_the_leader_knows_all_hubs(
    localcloud: LocalCloud, missing: tuple[str, ...]
) -> None:
    for hub in missing:
        localcloud.control("DELETE", f"/hubs/{hub}")
    app = a_small_app(localcloud)
    stop = asyncio.Event()
    running = asyncio.create_task(run_until(app, stop))
    try:
        expected = tuple(sorted(missing))
        await wait_for_async(said(lambda: app.unknown_hubs == expected), "the worker to miss the hubs", DEADLINE)
        assert not app.consumer.assignment()
        (reason,) = reasons(app)
        assert reason.cause is NotReadyCause.PARTITIONS_MOVING
        assert f"the namespace names no hub {', '.join(expected)}" in reason.sentence
        for hub in missing:
            await asyncio.to_thread(localcloud.control, "PUT", f"/hubs/{hub}", {})
        await wait_for_async(said(lambda: holds_all(app)), "the worker to hold all partitions", DEADLINE)
        await wait_for_async(said(lambda: not reasons(app)), "the worker to be ready", DEADLINE)
    finally:
        stop.set()
        await running


async def test_a_worker_that_misses_a_hub_ends_at_once(localcloud: LocalCloud) -> None:
    localcloud.control("DELETE", f"/hubs/{TRENDING_TOPS}")
    app = a_small_app(localcloud)
    stop = asyncio.Event()
    running = asyncio.create_task(run_until(app, stop))
    try:
        await wait_for_async(said(lambda: bool(app.unknown_hubs)), "the worker to miss the hub", DEADLINE)
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE):
            await running


async def test_a_question_that_is_not_answered_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does not say so: the future of its question has False then."""
    monkeypatch.setattr(known_hubs, "AGAIN_S", 0.0)
    group = Group(unanswered=3)
    assert await group.shared_out() == "assignments of a, b"
    assert group.told == [("a", "b")] * 4 + [()]
    assert group.asked == 4


async def test_a_consumer_that_is_closed_waits_for_no_hub() -> None:
    group = Group(unanswered=10_000)
    sharing = asyncio.create_task(group.shared_out())
    await wait_for_async(said(lambda: group.asked > 0), "a question", DEADLINE)
    group.closing.set_result(None)
    with pytest.raises(ConsumerStoppedError):
        await sharing


async def test_what_asks_for_a_hub_says_that_it_is_not_there(localcloud: LocalCloud) -> None:
    settings = localcloud.settings().eventhubs
    counter = HubCounter(settings, time.monotonic)
    try:
        await wait_for_async(lambda: sampled(counter), "a sample of the hubs", DEADLINE)
        localcloud.control("DELETE", f"/hubs/{MUSIC_EVENTS}")
        with pytest.raises(UnknownTopicOrPartitionError, match=f"no hub {MUSIC_EVENTS}: `songline doctor`"):
            await partitions_by_hub(settings)
        with pytest.raises(UnknownTopicOrPartitionError, match=f"no hub {MUSIC_EVENTS}"):
            await read_ends(settings)
        # A client that runs learns of it by the next answer.
        consumer = counter._consumer
        assert consumer is not None
        await consumer._client.force_metadata_update()
        with pytest.raises(HubsUnreachableError):
            await counter.count()
        await asyncio.to_thread(localcloud.control, "PUT", f"/hubs/{MUSIC_EVENTS}", {})
        await wait_for_async(lambda: sampled(counter), "a sample of all hubs", DEADLINE)
    finally:
        await counter.close()


async def sampled(counter: HubCounter) -> bool:
    try:
        return MUSIC_EVENTS in (await counter.count()).ends
    except HubsUnreachableError:
        return False


def a_small_app(cloud: LocalCloud) -> BatchedApp:
    """An app with two hubs and a table, which starts like the worker's."""
    config = TrendingConfig.read(QUICK)
    batched = (MUSIC_EVENTS, TRENDING_TOPS)
    app = BatchedApp("songline-known-hubs", batched=batched, **faust_settings(cloud.settings(), config))
    add_table(app, "cells", TRENDING_CELLS_CHANGELOG, 4)

    async def agent(stream: Any) -> None:
        async for _ in stream:
            pass

    for hub in batched:
        app.agent(app.topic(hub, key_serializer="raw", value_serializer="raw"), name=hub)(agent)
    return app


def holds_all(app: BatchedApp) -> bool:
    hubs = {tp.topic for tp in app.consumer.assignment()}
    return {MUSIC_EVENTS, TRENDING_TOPS, TRENDING_CELLS_CHANGELOG} <= hubs


def reasons(app: BatchedApp) -> tuple[NotReadyReason, ...]:
    """Why a worker of this app is not ready."""
    tracker = ProgressTracker(READER, ProgressBounds(stall_s=DEADLINE))
    observer = ProgressObserver(app, tracker, (), lambda: (), list, lambda: (), lambda: (), lambda: 0, time.monotonic)
    return observer.report().reasons


def said(answer: Any) -> Any:
    async def probe() -> bool:
        return bool(answer())

    return probe


class Group:
    """A group of which this consumer is the leader. The namespace answers after `unanswered` questions."""

    def __init__(self, unanswered: int) -> None:
        self.asked = 0
        self.told: list[tuple[str, ...]] = []
        self.closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unanswered = unanswered
        cluster = SimpleNamespace(partitions_for_topic=lambda hub: {0} if self.asked > self._unanswered else None)
        self._coordinator = SimpleNamespace(
            _perform_assignment=self._share_out, _group_subscription={"b", "a"}, _closing=self.closing
        )
        client = SimpleNamespace(cluster=cluster, force_metadata_update=self._ask)
        share_out_known_hubs(SimpleNamespace(_coordinator=self._coordinator, _client=client), self.told.append)

    async def shared_out(self) -> Any:
        return await self._coordinator._perform_assignment(None)

    async def _share_out(self, _: Any) -> str:
        known = "a, b" if self.asked > self._unanswered else "nothing"
        return f"assignments of {known}"

    async def _ask(self) -> bool:
        self.asked += 1
        return self.asked > self._unanswered
