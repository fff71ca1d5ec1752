"""The Faust app, put together: three agents, two tables, and the timers that flush, tick, save and write."""

import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.eventhub.aio import EventHubConsumerClient
from msgspec import Struct

from songline.cloud import kafka
from songline.cloud.settings import CloudSettings
from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.progress import ProgressBounds, ProgressTracker
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.processors.trending.cells.partition_opener import PartitionOpener
from songline.processors.trending.cells.start_positions import StartPositions
from songline.processors.trending.cells.worker import CellWorker, wall_clock_ms
from songline.processors.trending.config import TrendingConfig
from songline.processors.trending.crash_isolation import CrashIsolation, FoldGuard
from songline.processors.trending.faust import credentials
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.health import Health
from songline.processors.trending.merge.chart_writer import ChartWriter
from songline.processors.trending.merge.worker import MergeWorker
from songline.processors.trending.parking_queue import READER, ParkingQueue
from songline.processors.trending.plays.writer import PlaysWriter
from songline.processors.trending.progress_observer import ProgressObserver
from songline.processors.trending.shards.worker import ShardWorker
from songline.processors.trending.validation import StageLimits, check_cell, check_saved
from songline.schemas.channels import (
    MUSIC_EVENTS,
    TRENDING_CELLS_CHANGELOG,
    TRENDING_GROUP,
    TRENDING_PARTIALS,
    TRENDING_SHARDS_CHANGELOG,
    TRENDING_TOPS,
)
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, not_ready

BUFFERED_BATCHES = 4
"""Batches that wait in a stream: each is a whole fetch of a partition."""

REST = 1.0
"""A timer rests at least as long as its work took, so that folding gets its share of the time."""

BEHIND = 0.1
"""The share of its writes that a worker does while it is far behind: what they say would soon be out of date."""

LOOK_S = 1.0
"""Progress is observed, and partitions that wait are looked at, so often."""

MAX_FETCH_BYTES = 2_000_000
MAX_BATCH_BYTES = 900_000


class Trending(Struct):
    """The app, and what serves beside it. `isolation` knows whether a fold has ended it."""

    app: BatchedApp
    health: Health
    isolation: CrashIsolation


def create(
    settings: CloudSettings,
    dials: TrendingConfig,
    hubs: Mapping[str, int],
    charts: ContainerProxy,
    plays: ContainerProxy,
    parked: ContainerProxy,
    attempts: ContainerProxy,
    asking: EventHubConsumerClient,
) -> Trending:
    """The app for a namespace whose hubs have so many partitions, writing to the containers of charts, of plays, of
    parked records and of attempts; `asking` is a client of `music-events`.

    It starts nothing: give `app` and `health` to a `faust.Worker`.
    """
    app = BatchedApp(
        TRENDING_GROUP,
        batched=(MUSIC_EVENTS, TRENDING_PARTIALS, TRENDING_TOPS),
        **options(settings, dials),
    )
    # As many as songs were shared out among: a partition that is added has no place in the changelog, and no song.
    shards = min(hubs[TRENDING_PARTIALS], hubs[TRENDING_SHARDS_CHANGELOG])
    parking = ParkingQueue(ParkedStore(parked), lambda: datetime.now(UTC))

    def limits() -> StageLimits:
        known = app.consumer.topic_partitions(MUSIC_EVENTS) or 0
        return StageLimits(shards, max(hubs[MUSIC_EVENTS], known), wall_clock_ms())

    cells = _table(app, "cells", hubs[MUSIC_EVENTS])
    saved_cells = Changelog(TRENDING_CELLS_CHANGELOG, cells, parking, check_cell)
    sums = _table(app, "shards", shards)
    saved_shards = Changelog(
        TRENDING_SHARDS_CHANGELOG, sums, parking, lambda key, value, shard: check_saved(key, value, shard, limits())
    )
    for table, saved in ((cells, saved_cells), (sums, saved_shards)):
        table._on_changelog_event = saved.note
        app.unreadable[saved.hub] = saved.unreadable
    isolation = CrashIsolation(AttemptStore(attempts), ParkingBound(), parking, app.crash)
    guards = [FoldGuard(hub, isolation) for hub in (MUSIC_EVENTS, TRENDING_PARTIALS, TRENDING_TOPS)]
    settling = PartitionOpener(
        app, StartPositions(WatermarkStore(attempts), HubMetadata(asking)), wall_clock_ms, monotonic
    )
    counting = CellWorker(app, cells, saved_cells, shards, wall_clock_ms, parking, guards[0], settling)
    whole_ms = round(dials.whole * 1_000)
    ranking = ShardWorker(app, sums, saved_shards, limits, wall_clock_ms, whole_ms, parking, guards[1])
    sink = ChartWriter(charts, max(1, round(dials.writes * dials.tick)))
    charting = MergeWorker(app, sink, shards, limits, parking, guards[2])
    recording = PlaysWriter(
        plays,
        lambda: ranking.shards,
        shards,
        lambda: max(1, round(dials.plays * dials.tick * (BEHIND if counting.far_behind() else 1))),
        wall_clock_ms,
        monotonic,
    )
    for hub, stage in ((MUSIC_EVENTS, counting), (TRENDING_PARTIALS, ranking), (TRENDING_TOPS, charting)):
        app.agent(app.topic(hub, key_serializer="raw", value_serializer="raw"), name=hub)(
            _agent(stage.consume, isolation)
        )
    cells.on_recover(_loud(app, lambda: _hold(app, counting, charting)))
    sums.on_recover(_loud(app, lambda: _hold_shards(app, ranking, shards)))
    _on_revoked(app, (counting, ranking, charting))
    for work, seconds in (
        (counting.flush, dials.flush),
        (ranking.tick, dials.tick),
        (ranking.save, dials.save),
        (charting.write, dials.tick),
        (recording.write, dials.tick),
    ):
        app.task(_every(app, seconds, work, isolation.watch))

    def troubles() -> Iterator[tuple[str, Exception | None]]:
        yield "records can't be parked", parking.trouble
        yield "attempts can't be noted", isolation.trouble
        yield "partitions can't be looked at", settling.trouble
        yield "charts can't be written", sink.trouble
        for key, error in sorted(sink.refused.items()):
            yield f"chart {key} can't be written", error
        yield "songs' days can't be written", recording.trouble

    def reasons() -> Iterator[NotReadyReason]:
        yield from settling.reasons()
        if isolation.bound.reason:
            sentence = f"nothing is folded or parked any more: {isolation.bound.reason}"
            yield not_ready(READER, NotReadyCause.TOO_MANY_PARKED, sentence)

    reporting = ProgressObserver(
        app,
        ProgressTracker(READER, ProgressBounds(stall_s=dials.stall)),
        (counting, ranking, charting),
        recording.backlogs,
        lambda: charting.unheard,
        troubles,
        reasons,
        wall_clock_ms,
        monotonic,
    )
    for work in (settling.tick, reporting.observe):
        app.task(_every(app, LOOK_S, work, isolation.guarded))
    return Trending(app, Health(dials.port, dials.hang, reporting.report), isolation)


def options(settings: CloudSettings, dials: TrendingConfig) -> dict[str, Any]:
    """Faust's settings for Event Hubs: nothing is created by itself, and no connection idles for too long."""
    return {
        "broker": f"kafka://{settings.eventhubs.kafka}",
        "broker_credentials": credentials.broker(settings.eventhubs),
        "store": "memory://",
        "autodiscover": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "processing_guarantee": "at_least_once",
        "broker_commit_interval": 1.0,
        "broker_session_timeout": dials.session_ms / 1_000,
        "broker_heartbeat_interval": min(kafka.HEARTBEAT_INTERVAL_MS, dials.session_ms / 3) / 1_000,
        "broker_request_timeout": max(kafka.REQUEST_TIMEOUT_MS, dials.session_ms) / 1_000,
        "consumer_auto_offset_reset": "earliest",
        "consumer_connections_max_idle_ms": kafka.CONNECTIONS_MAX_IDLE_MS,
        "consumer_metadata_max_age_ms": kafka.METADATA_MAX_AGE_MS,
        "consumer_max_fetch_size": MAX_FETCH_BYTES,
        "producer_acks": -1,
        "producer_connections_max_idle_ms": kafka.CONNECTIONS_MAX_IDLE_MS,
        "producer_metadata_max_age_ms": kafka.METADATA_MAX_AGE_MS,
        # Partials and chunks come in hundreds of kilobytes; one a request would wait for the log once each.
        "producer_max_batch_size": MAX_BATCH_BYTES,
        "producer_max_request_size": kafka.MAX_REQUEST_SIZE,
        "producer_request_timeout": kafka.REQUEST_TIMEOUT_MS / 1_000,
        # A batch is acknowledged by the flush that follows it; what is not is read again.
        "stream_wait_empty": False,
        "stream_buffer_maxsize": BUFFERED_BATCHES,
    }


def _table(app: BatchedApp, name: str, partitions: int) -> Any:
    # With these types Faust leaves keys and values as they are. Its usual codec would fail on each of them, and its
    # recovery passes over what it can't decode with no more than a warning.
    return app.Table(name, partitions=partitions, key_type=bytes, value_type=bytes)


def _agent(
    consume: Callable[[Any], Coroutine[Any, Any, None]], isolation: CrashIsolation
) -> Callable[[Any], Awaitable[None]]:
    """A plain function: Faust looks at what an agent is, and a bound method is not what it expects."""

    async def agent(stream: Any) -> None:
        await isolation.guarded(partial(consume, stream))

    return agent


async def _starts(app: BatchedApp, hub: str) -> dict[int, int]:
    """The partitions of a hub that this worker holds, each with the first offset to read."""
    return {number: offset or 0 for number, offset in (await _committed(app, hub)).items()}


async def _committed(app: BatchedApp, hub: str) -> dict[int, int | None]:
    """The partitions of a hub that this worker holds, each with the offset that the group has committed."""
    committed = await app.consumer.seek_to_committed()
    return {tp.partition: committed.get(tp) for tp in app.consumer.assignment() if tp.topic == hub}


async def _hold(app: BatchedApp, counting: CellWorker, charting: MergeWorker) -> None:
    await counting.assigned(await _committed(app, MUSIC_EVENTS), owner=uuid.uuid4().hex)
    await charting.assigned((await _starts(app, TRENDING_TOPS)).get(0), owner=uuid.uuid4().hex)


async def _hold_shards(app: BatchedApp, ranking: ShardWorker, shards: int) -> None:
    starts = await _starts(app, TRENDING_PARTIALS)
    held = {number: start for number, start in starts.items() if number < shards}
    await ranking.assigned(held, owner=uuid.uuid4().hex)


def _loud(app: BatchedApp, callback: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Faust drops what a recovery callback raises; a worker without its state must not go on."""

    async def call() -> None:
        try:
            await callback()
        except Exception as error:
            await app.crash(error)
            raise

    return call


def _on_revoked(app: BatchedApp, stages: Iterable[CellWorker | ShardWorker | MergeWorker]) -> None:
    """Let go of everything when partitions are taken away, and before the producer stops."""

    async def revoked(*_: Any, **__: Any) -> None:
        for stage in stages:
            await stage.revoked()

    app.on_partitions_revoked.connect(revoked, weak=False)
    app.on_before_shutdown.connect(revoked, weak=False)


def _every(
    app: BatchedApp,
    seconds: float,
    work: Callable[[], Awaitable[None]],
    watch: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
) -> Callable[[], Awaitable[None]]:
    async def loop() -> None:
        pause = seconds
        while not app.should_stop:
            await app.sleep(pause)
            start = monotonic()
            await watch(work)
            took = monotonic() - start
            pause = max(seconds - took, took * REST)

    return loop
