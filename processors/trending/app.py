"""The Faust app of the trending worker, put together: three agents, two tables, and what is done by the clock."""

import uuid
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from azure.cosmos.aio import ContainerProxy
from azure.eventhub.aio import EventHubConsumerClient
from azure.storage.blob.aio import ContainerClient
from msgspec import Struct

from songline.cloud.settings import CloudSettings
from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.progress import ProgressBounds, ProgressTracker
from songline.processors.runtime.record_renaming import RecordRenaming
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.processors.trending.cells.hour_store import HourStore
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.partition_opener import PartitionOpener
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.cells.start_positions import StartPositions
from songline.processors.trending.cells.validation import broken_cells
from songline.processors.trending.cells.worker import CellWorker, wall_clock_ms
from songline.processors.trending.config import TrendingConfig
from songline.processors.trending.crash_isolation import CrashIsolation
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.faust.hub_table import add_table
from songline.processors.trending.faust.lifecycle import (
    committed_offsets,
    crash_on_error,
    current_recovery,
    on_revoked,
    repeat,
)
from songline.processors.trending.faust.settings import faust_settings
from songline.processors.trending.fold_guard import STRIDE, FoldGuard
from songline.processors.trending.merge.chart_writer import IN_FLIGHT, ChartWriter
from songline.processors.trending.merge.worker import MergeWorker
from songline.processors.trending.merge.write_rate import RoundRate, WriteRate
from songline.processors.trending.parking_queue import ParkingQueue
from songline.processors.trending.plays.writer import PlaysWriter
from songline.processors.trending.progress_observer import ProgressObserver
from songline.processors.trending.shards.report_turns import ReportTurns
from songline.processors.trending.shards.shard_images import ShardImages
from songline.processors.trending.shards.validation import broken_saved
from songline.processors.trending.shards.worker import ShardWorker
from songline.processors.trending.spans import READER
from songline.processors.trending.state_version import FIRST, StateVersion
from songline.processors.trending.validation import StageLimits
from songline.schemas.channels import (
    MUSIC_EVENTS,
    TRENDING_CELLS_CHANGELOG,
    TRENDING_PARTIALS,
    TRENDING_SHARDS_CHANGELOG,
    TRENDING_TOPS,
)
from songline.schemas.name_matches import NO_MATCHES, NameMatches
from songline.schemas.policy import ChartPolicy
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, not_ready
from songline.schemas.projections import FIRST_VERSION

FAR_BEHIND_SHARE = 0.1
"""The share of its day writes that a worker does while it is far behind: its days would soon be out of date."""

FAR_BEHIND_S = 2.0
"""The least pause of reports, and of writes of charts, while a worker is far behind: a chart is seconds old then, and
soon out of date."""
FAR_BEHIND_WRITES = 16
"""Charts that are written at once then, at most: all global ones, and as many others."""

LEAST_CHARTS, MANY_CHARTS = 1 / 3, 900
"""Charts of regions and genres are written at this share of the rate at least, and at all of it where so many wait."""
LEAST_DAYS, MANY_DAYS = 1 / 4, 2_400
"""The same of songs' days."""

SEAL_S = 5.0
"""The pause between two looks for hours to seal."""

IMAGES_S = 5.0
"""The pause between two looks for images of shards to write."""

DAYS_S = 1.0
"""The pause between two writes of songs' days."""

IDLE_S = 1.0
"""The pause between two looks for what time alone changes."""

LEAST_SHARE = 0.8
"""A flush that is woken comes after this share of the pause: what is gathered for as long is on its way for a while."""

OBSERVE_S = 1.0
"""The pause between two observations of progress, and between two checks of partitions that wait."""


class TrendingServices(Struct, frozen=True):
    """What the worker writes to, and `hub`: a client of `music-events` for questions about the hub, as `shards_hub` is
    one of the shards' changelog. `hours` is None for a worker without Blob Storage. `key`: see `cells.identity_key`.
    `policy` has the rules of the charts, `version` is that of the state, and so of the charts; `plays_version` is that
    of the songs' days in `plays`. `renaming` knows
    who was forgotten, `matches` gives the songs that stand behind names."""

    charts: ContainerProxy
    plays: ContainerProxy
    parked: ContainerProxy
    attempts: ContainerProxy
    hub: EventHubConsumerClient
    shards_hub: EventHubConsumerClient
    hours: ContainerClient | None
    key: IdentityKey
    policy: ChartPolicy
    renaming: RecordRenaming
    version: StateVersion = FIRST
    plays_version: int = FIRST_VERSION
    matches: Callable[[], NameMatches] = lambda: NO_MATCHES


class TrendingApp(Struct, frozen=True):
    """The app, its progress report, and what knows whether an error in a fold has ended it. `loading_early` is a block
    in which hours and shards of partitions are loaded that will probably be assigned."""

    app: BatchedApp
    report: Callable[[], ProgressReport]
    isolation: CrashIsolation
    loading_early: Callable[[Collection[TopicPartition]], AbstractContextManager[None]]


def build_app(
    settings: CloudSettings,
    config: TrendingConfig,
    partitions: Mapping[str, int],
    services: TrendingServices,
    record_owners: Callable[[Collection[str]], None],
) -> TrendingApp:
    """The app for a namespace whose hubs have so many `partitions`. It starts nothing.

    `record_owners` is called with the name under which the group knows this worker.
    """
    batched = (MUSIC_EVENTS, TRENDING_PARTIALS, TRENDING_TOPS)
    gathered = {MUSIC_EVENTS: config.flush_s}
    version = services.version
    app = BatchedApp(version.group, batched=batched, gathered=gathered, **faust_settings(settings, config))
    # As many as songs were shared out among: a partition that is added has no place in the changelog, and no song.
    shards = min(partitions[TRENDING_PARTIALS], partitions[TRENDING_SHARDS_CHANGELOG])

    def limits() -> StageLimits:
        known = app.consumer.topic_partitions(MUSIC_EVENTS) or 0
        return StageLimits(shards, max(partitions[MUSIC_EVENTS], known), wall_clock_ms())

    parking = ParkingQueue(ParkedStore(services.parked), services.renaming, lambda: datetime.now(UTC))
    isolation = CrashIsolation(AttemptStore(services.attempts), ParkingBound(), parking, app.crash)
    app.in_pieces = lambda: len(isolation.in_pieces)
    guards = {hub: FoldGuard(hub, isolation, STRIDE if hub == MUSIC_EVENTS else 1) for hub in batched}

    cell_table = add_table(app, "cells", TRENDING_CELLS_CHANGELOG, partitions[MUSIC_EVENTS])
    shard_table = add_table(app, "shards", TRENDING_SHARDS_CHANGELOG, shards)
    saved_cells = Changelog(TRENDING_CELLS_CHANGELOG, cell_table, parking, broken_cells, version)
    saved_shards = Changelog(
        TRENDING_SHARDS_CHANGELOG,
        shard_table,
        parking,
        lambda records, shard: broken_saved(records, shard, limits()),
        version,
    )
    for table, saved in ((cell_table, saved_cells), (shard_table, saved_shards)):
        table.apply_changelog_batch = saved.apply
        app.unreadable[saved.hub] = saved.add_unreadable

    noted = WatermarkStore(services.attempts, document=version.positions)
    start_positions = StartPositions(noted, HubMetadata(services.hub))
    opener = PartitionOpener(app, start_positions, wall_clock_ms, monotonic)
    sealed = None if services.hours is None else SealedHours(services.hours, version.prefix)
    hours = HourStore(saved_cells, sealed, services.key, lambda: app.producer)
    policy = services.policy
    cell_rules = (policy, version, services.matches)
    guard = guards[MUSIC_EVENTS]
    cells = CellWorker(app, saved_cells, hours, shards, wall_clock_ms, parking, guard, opener, *cell_rules)
    turns = ReportTurns(round(config.whole_s * 1_000), config.chart_writes)
    shard_guard, rules = guards[TRENDING_PARTIALS], (services.key, _new_owner, policy, version, services.plays_version)
    stage = (turns, parking, shard_guard, *rules, cells.has_backlog)
    metadata = HubMetadata(services.shards_hub)
    images = None if sealed is None else ShardImages(sealed, metadata, services.key, shards, wall_clock_ms)
    ranking = ShardWorker(app, saved_shards, limits, wall_clock_ms, *stage, images)
    shard_table.begin = ranking.begin_recovery
    chart_rate, snapshot_rate = (
        WriteRate(writes, monotonic) for writes in (config.chart_writes, max(1, config.chart_writes // 2))
    )
    scoped_rate = RoundRate(config.chart_writes, LEAST_CHARTS, MANY_CHARTS, monotonic)
    day_rate = RoundRate(config.day_writes, LEAST_DAYS, MANY_DAYS, monotonic)
    behind_rate = WriteRate(min(FAR_BEHIND_WRITES, config.chart_writes), monotonic)

    def chart_writes() -> int:
        return behind_rate() if cells.far_behind() else chart_rate()

    chart_writer = ChartWriter(services.charts, chart_writes, snapshot_rate, scoped_rate.of)
    merge = MergeWorker(app, chart_writer, shards, limits, parking, guards[TRENDING_TOPS], policy, version)

    def day_writes() -> int:
        waiting = sum(len(shard.days.backlog) for shard in ranking.shards.values())
        return max(1, round(day_rate.of(waiting) * (FAR_BEHIND_SHARE if cells.far_behind() else 1)))

    clocks = (wall_clock_ms, monotonic)
    plays = PlaysWriter(services.plays, lambda: ranking.shards, shards, day_writes, noted.read_all, *clocks)

    _agent(app, MUSIC_EVENTS, cells.consume, isolation)
    _agent(app, TRENDING_PARTIALS, ranking.consume, isolation)
    _agent(app, TRENDING_TOPS, merge.consume, isolation)

    async def hold_cells_and_merge() -> None:
        is_current = current_recovery(app)
        committed, tops = await committed_offsets(app, MUSIC_EVENTS, TRENDING_TOPS)
        if is_current():
            await cells.assigned(committed, owner=_new_owner())
            await merge.assigned(tops[0] or 0 if 0 in tops else None, owner=_new_owner())

    async def hold_shards() -> None:
        is_current = current_recovery(app)
        (committed,) = await committed_offsets(app, TRENDING_PARTIALS)
        if is_current():
            held = {number: offset or 0 for number, offset in committed.items() if number < shards}
            await ranking.assigned(held, owner=_new_owner())

    cell_table.on_recover(crash_on_error(app, hold_cells_and_merge))
    shard_table.on_recover(crash_on_error(app, hold_shards))
    on_revoked(app, (cells.revoked, ranking.revoked, merge.revoked))

    async def flush() -> None:
        had_backlog = cells.has_backlog()
        await cells.flush()
        if had_backlog and not cells.has_backlog():
            # The shards' first report has waited for this.
            ranking.news.set()

    async def seal() -> None:
        if not ranking.waits():
            await cells.seal()

    async def write() -> None:
        # What the worker before reported is shown already.
        if not ranking.waits():
            await merge.write()

    async def write_days() -> None:
        # No chart needs a song's day: after a start the first one comes before.
        if not ranking.waits():
            await plays.write()

    async def save_images() -> None:
        if not cells.far_behind() and not cells.has_backlog():
            await ranking.save_images()

    @contextmanager
    def loading_early(expected: Collection[TopicPartition]) -> Iterator[None]:
        with cells.loading_early(one.partition for one in expected if one.topic == MUSIC_EVENTS):
            ranking.begin_early(one.partition for one in expected if one.topic == TRENDING_PARTIALS)
            try:
                yield
            finally:
                ranking.drop_early()

    def least_s(pause_s: float) -> Callable[[], float]:
        return lambda: max(pause_s, FAR_BEHIND_S) if cells.far_behind() else pause_s

    def flush_least_s() -> float:
        return 0.0 if cells.has_backlog() else config.flush_s * LEAST_SHARE

    repeat(app, config.flush_s, flush, isolation.run_apart, wake=cells.news, least_s=flush_least_s)
    repeat(app, SEAL_S, seal, isolation.run_apart)
    repeat(app, IDLE_S, ranking.report, isolation.run_apart, wake=ranking.news, least_s=least_s(config.tick_s))
    repeat(app, config.save_s, ranking.save, isolation.run_apart)
    repeat(app, IMAGES_S, save_images, isolation.run_apart)
    # Global charts get half of the writes: there are enough for all of them.
    write_s = least_s(max(config.tick_s, min(1.0, 2 * IN_FLIGHT / config.chart_writes)))
    repeat(
        app, IDLE_S, write, isolation.run_apart, wake=merge.news, least_s=lambda: write_s() if merge.has_written else 0
    )
    repeat(app, DAYS_S, write_days, isolation.run_apart)

    def errors() -> Iterator[tuple[str, Exception | None]]:
        yield "records can't be parked", parking.last_error
        yield "attempts can't be noted", isolation.last_error
        yield "partitions can't be looked at", opener.last_error
        yield "hours can't be loaded or sealed", cells.hours_error
        yield "charts can't be written", chart_writer.last_error
        yield "snapshots can't be written", chart_writer.snapshots.last_error
        for key, error in sorted(chart_writer.refused.items()):
            yield f"chart {key} can't be written", error
        for key, error in sorted(chart_writer.snapshots.refused.items()):
            yield f"the hour's snapshot of chart {key} can't be written", error
        yield "songs' days can't be written", plays.last_error
        yield from plays.refused.errors()

    def reasons() -> Iterator[NotReadyReason]:
        yield from opener.reasons()
        if isolation.bound.reason:
            sentence = f"nothing is folded or parked any more: {isolation.bound.reason}"
            yield not_ready(READER, NotReadyCause.TOO_MANY_PARKED, sentence)

    observer = ProgressObserver(
        app,
        ProgressTracker(READER, ProgressBounds(stall_s=config.stall_s)),
        (cells, ranking, merge),
        plays.backlogs,
        lambda: merge.missing_shards,
        errors,
        reasons,
        wall_clock_ms,
        monotonic,
    )

    async def record_member() -> None:
        if (member := app.consumer.member) and len(member.split()) == 1:
            record_owners([member])

    repeat(app, OBSERVE_S, record_member, isolation.run)
    repeat(app, OBSERVE_S, opener.poll, isolation.run, wake=opener.wake)
    repeat(app, OBSERVE_S, observer.observe, isolation.run)
    return TrendingApp(app, observer.report, isolation, loading_early)


def _new_owner() -> str:
    """A name that no owner of anything ever had."""
    return uuid.uuid4().hex


def _agent(
    app: BatchedApp, hub: str, consume: Callable[[Any], Coroutine[Any, Any, None]], isolation: CrashIsolation
) -> None:
    # A plain function: Faust inspects an agent, and does not expect a bound method.
    async def agent(stream: Any) -> None:
        await isolation.run(partial(consume, stream))

    app.agent(app.topic(hub, key_serializer="raw", value_serializer="raw"), name=hub)(agent)
