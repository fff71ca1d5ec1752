"""The live feed: one snapshot a second, shared by all watchers; none without a watcher."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct

from songline.cloud.concurrency import run_or_cancel
from songline.projections.charts import queries as charts
from songline.projections.charts.names import with_names
from songline.projections.freshness import earliest, read_watermarks
from songline.projections.hub_creation import HubCreation
from songline.projections.ingestions import queries as ingestions
from songline.projections.live import snapshot as live
from songline.projections.live.hubs import HubCounter, HubsUnreachableError
from songline.projections.live.now_playing import Broadcast
from songline.projections.live.snapshot import (
    PLAYING_S,
    Live,
    NowPlaying,
    Projection,
    ProjectionWatermark,
    Sample,
    Waiting,
)
from songline.projections.live.worker_reports import WorkerReports
from songline.projections.live_version import VersionedStores
from songline.projections.songs.served_songs import SongVersions
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.channels import CHARTS, LIBRARY, MUSIC_EVENTS, SONGS
from songline.schemas.documents import CHART_SIZE, GLOBAL, Chart, Kind, Window
from songline.schemas.progress_report import NotReadyReason, ProgressReport

log = logging.getLogger(__name__)

SPAN = 6
"""The number of snapshots over which rates are computed. They span five seconds, which shows a burst and smooths out a
pause of one second."""
UPLOADS_EVERY = 5
"""Snapshots between two counts of uploads. A count takes six queries."""
WATCHERS = 200
WORKERS = {"charts": "trending", "catalog": "catalog", "library": "library"}
"""The worker that writes a projection, by projection."""


class FeedFullError(Exception):
    """The feed has as many watchers as one process serves. The caller retries later, or at another process."""


class FollowedChart(Struct, frozen=True):
    """The chart that a watcher follows."""

    kind: Kind
    window: Window
    scope: str


class FeedStores(Struct, frozen=True):
    """The containers that a snapshot reads: those of live versions, with the titles of songs, and the ingestions; and
    when the hub was created whose positions count, None where it can't be asked."""

    versions: VersionedStores
    songs: SongVersions
    ingestions: DocumentStore
    hub: HubCreation | None = None

    async def live(self, projection: str) -> DocumentStore:
        """The container of the live version. Raises StoreUnavailableError."""
        return (await self.versions.live(projection)).store

    @property
    def created_at(self) -> datetime | None:
        """When the hub was created, None while that is unknown."""
        return None if self.hub is None else self.hub.latest()


class LiveFeed:
    """Takes snapshots and shares them among the watchers, so that many watchers cost as much as one.

    A slow watcher gets the newest snapshot and never a backlog. `tick` is the period in seconds. `stale_s` is the age
    in seconds from which a projection is stale.
    """

    def __init__(
        self,
        stores: FeedStores,
        hubs: HubCounter | None,
        broadcast: Broadcast,
        now: Callable[[], datetime],
        tick: float = 1.0,
        stale_s: float = live.STALE_S,
        workers: WorkerReports | None = None,
    ) -> None:
        self._stores, self._hubs, self._broadcast = stores, hubs, broadcast
        self._workers = workers
        self._now, self._tick, self._stale_s = now, tick, stale_s
        self._samples: deque[Sample] = deque(maxlen=SPAN)
        self._marks: dict[str, deque[tuple[float, int]]] = {}
        self._uploads: Waiting | None = None
        self._watchers = 0
        self._sampling: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._number = 0
        self._latest: Live | None = None
        self._charts: dict[FollowedChart, asyncio.Task[Chart | None]] = {}

    @property
    def full(self) -> bool:
        """Whether the feed takes no more watchers."""
        return self._watchers >= WATCHERS

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch while the context lasts: snapshots are taken. Raises FeedFullError."""
        if self.full:
            raise FeedFullError(f"the feed has {WATCHERS} watchers already")
        self._watchers += 1
        if self._sampling is None or self._sampling.done():
            self._sampling = asyncio.create_task(self._sample_while_watched())
        try:
            yield
        finally:
            self._watchers -= 1

    async def after(self, number: int) -> tuple[int, Live]:
        """Wait for a snapshot after number `number`; return the newest one and its number."""
        async with self._news:
            await self._news.wait_for(lambda: self._latest is not None and self._number > number)
            assert self._latest is not None
            return self._number, self._latest

    async def chart(self, followed: FollowedChart) -> Chart | None:
        """The chart as of the newest snapshot, read once for all its followers. Raises StoreUnavailableError."""
        task = self._charts.get(followed)
        if task is None:
            task = self._charts[followed] = asyncio.create_task(self._read_chart(followed))
        # A watcher that leaves must not cancel the read for the others.
        return await asyncio.shield(task)

    async def _read_chart(self, followed: FollowedChart) -> Chart | None:
        store = await self._stores.live(CHARTS)
        found = await charts.chart(store, followed.kind, followed.window, followed.scope, CHART_SIZE)
        return None if found is None else await with_names(found, lambda: self._stores.songs)

    async def close(self) -> None:
        """Stop taking snapshots, and close the client of the workers' reports."""
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.gather(self._sampling, return_exceptions=True)
        if self._workers is not None:
            await self._workers.close()

    async def _sample_while_watched(self) -> None:
        # A watcher may come while the hubs' client is being closed.
        while self._watchers:
            try:
                await self._sample_repeatedly()
            finally:
                self._samples.clear()
                self._marks.clear()
                # Who comes later gets nothing of now.
                self._latest = self._uploads = None
                if self._hubs is not None:
                    await self._hubs.close()

    async def _sample_repeatedly(self) -> None:
        while self._watchers:
            began = asyncio.get_running_loop().time()
            try:
                # A TaskGroup drops a cancellation of its own task where one of its tasks fails in the same moment.
                latest = await run_or_cancel(self._everything())
            except Exception:
                # The watchers get nothing now. The next snapshot may succeed.
                log.exception("a snapshot failed")
            else:
                await self._publish(latest)
            await asyncio.sleep(max(0.0, began + self._tick - asyncio.get_running_loop().time()))

    async def _publish(self, latest: Live) -> None:
        async with self._news:
            self._latest = latest
            self._number += 1
            self._charts = {}
            self._news.notify_all()

    async def _everything(self) -> Live:
        troubles: list[str] = []
        # What comes while it is read may be missing.
        now = self._now()
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample(troubles))
            reports = group.create_task(self._reports(troubles))
            projections = group.create_task(self._marks_now(troubles))
            uploads = group.create_task(self._uploads_now(troubles))
            playing = group.create_task(self._playing_now(now, troubles))
        sample = sampling.result()
        if sample is not None:
            self._samples.append(sample)
        else:
            self._samples.clear()
        ends = None if sample is None else sample.ends.get(MUSIC_EVENTS)
        return Live(
            as_of=now,
            kinds=live.kinds(self._samples),
            hubs=live.hubs(self._samples),
            projections=tuple(
                self._projection(name, mark, ends, reports.result().get(WORKERS[name]), now)
                for name, mark in projections.result()
            ),
            uploads=uploads.result(),
            playing=playing.result(),
            troubles=tuple(dict.fromkeys(troubles)),
        )

    async def _sample(self, troubles: list[str]) -> Sample | None:
        if self._hubs is None:
            troubles.append("This API was started without Event Hubs, so there are no rates.")
            return None
        try:
            return await self._hubs.count()
        except HubsUnreachableError as error:
            troubles.append(f"{error}.")
            return None

    async def _reports(self, troubles: list[str]) -> Mapping[str, ProgressReport | NotReadyReason]:
        found = {} if self._workers is None else await self._workers.read()
        for name in found.keys() - set(WORKERS.values()):
            # This worker writes no projection, so its reasons are listed as troubles.
            report = found[name]
            reasons = (report,) if isinstance(report, NotReadyReason) else report.reasons
            troubles += [f"The {name} worker is not ready: {live.reason_text(reason)}" for reason in reasons]
        return found

    async def _marks_now(self, troubles: list[str]) -> Sequence[tuple[str, ProjectionWatermark | None]]:
        readers: dict[str, Callable[[], Awaitable[ProjectionWatermark | None]]] = {
            "charts": self._charts_mark,
            "catalog": partial(self._read_by, SONGS),
            "library": partial(self._read_by, LIBRARY),
        }
        found: list[tuple[str, ProjectionWatermark | None]] = []
        for name, reading in readers.items():
            try:
                found.append((name, await reading()))
            except StoreUnavailableError as error:
                troubles.append(f"{error}.")
                found.append((name, None))
        return found

    async def _charts_mark(self) -> ProjectionWatermark | None:
        # The other charts may be one round of writes behind the global ones, which watchers see first.
        found = await charts.chart(await self._stores.live(CHARTS), "top", "1h", GLOBAL, 0)
        return (
            None
            if found is None
            else ProjectionWatermark(
                position=dict(charts.position_in(found, self._stores.created_at)),
                complete_through=found.complete_through,
            )
        )

    async def _read_by(self, projection: str) -> ProjectionWatermark | None:
        found = await read_watermarks(await self._stores.live(projection), self._stores.created_at)
        if not found:
            return None
        return ProjectionWatermark(
            position={partition: one.position for partition, one in found.items()},
            complete_through=earliest(one.through for one in found.values()),
        )

    async def _uploads_now(self, troubles: list[str]) -> Waiting | None:
        if self._uploads is None or self._number % UPLOADS_EVERY == 0:
            try:
                self._uploads = await ingestions.waiting(self._stores.ingestions)
            except StoreUnavailableError as error:
                self._uploads = None
                troubles.append(f"{error}.")
        return self._uploads

    async def _playing_now(self, now: datetime, troubles: list[str]) -> tuple[NowPlaying, ...]:
        since = now - timedelta(seconds=PLAYING_S)
        newest = [one for one in self._broadcast.newest if one.at >= since]
        try:
            titles = await (await self._stores.songs.live()).titles.of(one.song_id for one in newest)
        except StoreUnavailableError as error:
            troubles.append(f"{error}.")
            titles = {}
        return tuple(
            NowPlaying(
                user_id=one.user_id,
                song_id=one.song_id,
                title=None if title is None else title.title,
                artist=None if title is None else title.artist,
                at=one.at,
            )
            for one in newest
            for title in (titles.get(one.song_id),)
        )

    def _projection(
        self,
        name: str,
        mark: ProjectionWatermark | None,
        ends: Mapping[int, int] | None,
        report: ProgressReport | NotReadyReason | None,
        now: datetime,
    ) -> Projection:
        rate: float | None = None
        if mark is not None:
            taken = self._marks.setdefault(name, deque(maxlen=SPAN))
            taken.append((asyncio.get_running_loop().time(), sum(mark.position.values())))
            span = taken[-1][0] - taken[0][0]
            rate = round(max(0, taken[-1][1] - taken[0][1]) / span, 2) if span else None
        return live.projection(name, mark, ends, rate, now, self._stale_s, report)
