"""One look a second at everything that is shown live, shared by all who watch; none while nobody does."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct

from songline.projections.charts import queries as charts
from songline.projections.freshness import earliest
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
from songline.projections.songs.titles import TitleCache
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.documents import CHART_SIZE, GLOBAL, Chart, Kind, Window
from songline.schemas.progress import PROGRESS, WatermarkDocument
from songline.schemas.progress_report import NotReadyReason, ProgressReport

log = logging.getLogger(__name__)

SPAN = 6
"""Looks that rates are taken over: five seconds, in which a burst is seen and a pause of one second is not."""
UPLOADS_EVERY = 5
"""Looks between two counts of uploads, which are six queries."""
WATCHERS = 200
WORKERS = {"charts": "trending", "catalog": "catalog", "library": "library"}
"""Each projection to the worker that keeps it."""


class FeedFullError(Exception):
    """As many watch as one process serves. The caller comes again later, or asks another process."""


class FollowedChart(Struct, frozen=True):
    """The chart that a watcher follows."""

    kind: Kind
    window: Window
    scope: str


class FeedStores(Struct, frozen=True):
    """The containers that are looked at."""

    charts: DocumentStore
    songs: DocumentStore
    library: DocumentStore
    ingestions: DocumentStore


class LiveFeed:
    """What is going on, for any number of watchers at the price of one.

    A watcher that is slow gets the newest look and never a backlog. `tick` is in seconds, `stale_s` as live.STALE_S.
    """

    def __init__(
        self,
        stores: FeedStores,
        hubs: HubCounter | None,
        broadcast: Broadcast,
        titles: TitleCache,
        now: Callable[[], datetime],
        tick: float = 1.0,
        stale_s: float = live.STALE_S,
        workers: WorkerReports | None = None,
    ) -> None:
        self._stores, self._hubs, self._broadcast, self._titles = stores, hubs, broadcast, titles
        self._workers = workers
        self._now, self._tick, self._stale_s = now, tick, stale_s
        self._samples: deque[Sample] = deque(maxlen=SPAN)
        self._marks: dict[str, deque[tuple[float, int]]] = {}
        self._uploads: Waiting | None = None
        self._watchers = 0
        self._looking: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._number = 0
        self._latest: Live | None = None
        self._charts: dict[FollowedChart, asyncio.Task[Chart | None]] = {}

    @property
    def full(self) -> bool:
        return self._watchers >= WATCHERS

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While inside, looks are taken. Raises FeedFullError."""
        if self.full:
            raise FeedFullError(f"{WATCHERS} watch already")
        self._watchers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._sample_once())
        try:
            yield
        finally:
            self._watchers -= 1

    async def after(self, number: int) -> tuple[int, Live]:
        """The newest look, once there is one behind `number`, and its own number."""
        async with self._news:
            await self._news.wait_for(lambda: self._latest is not None and self._number > number)
            assert self._latest is not None
            return self._number, self._latest

    async def chart(self, asked: FollowedChart) -> Chart | None:
        """The chart as of the newest look, read once for all who follow it. Raises StoreUnavailableError."""
        task = self._charts.get(asked)
        if task is None:
            read = charts.chart(self._stores.charts, asked.kind, asked.window, asked.scope, CHART_SIZE)
            task = self._charts[asked] = asyncio.create_task(read)
        # One watcher who leaves must not take the chart from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._workers is not None:
            await self._workers.close()

    async def _sample_once(self) -> None:
        # Somebody may come while the hubs are closed.
        while self._watchers:
            try:
                await self._sample_repeatedly()
            finally:
                self._samples.clear()
                self._marks.clear()
                self._latest = None
                if self._hubs is not None:
                    await self._hubs.close()

    async def _sample_repeatedly(self) -> None:
        while self._watchers:
            began = asyncio.get_running_loop().time()
            try:
                latest = await self._everything()
            except Exception:
                # Whoever watches sees that nothing comes; the next look may do.
                log.exception("a look failed")
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
        sample, reports, projections, uploads, playing = await asyncio.gather(
            self._sample(troubles),
            self._reports(troubles),
            self._marks_now(troubles),
            self._uploads_now(troubles),
            self._playing_now(troubles),
        )
        if sample is not None:
            self._samples.append(sample)
        else:
            self._samples.clear()
        ends = None if sample is None else sample.ends.get(MUSIC_EVENTS)
        now = self._now()
        return Live(
            as_of=now,
            kinds=live.kinds(self._samples),
            hubs=live.hubs(self._samples),
            projections=tuple(
                self._projection(name, mark, ends, reports.get(WORKERS[name]), now) for name, mark in projections
            ),
            uploads=uploads,
            playing=playing,
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
            # It keeps no projection that could tell.
            report = found[name]
            reasons = (report,) if isinstance(report, NotReadyReason) else report.reasons
            troubles += [f"The {name} worker is not ready: {live.reason_text(reason)}" for reason in reasons]
        return found

    async def _marks_now(self, troubles: list[str]) -> Sequence[tuple[str, ProjectionWatermark | None]]:
        readers: dict[str, Callable[[], Awaitable[ProjectionWatermark | None]]] = {
            "charts": self._charts_mark,
            "catalog": partial(self._read_by, self._stores.songs),
            "library": partial(self._read_by, self._stores.library),
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
        # All charts may be a round of writes behind those of the world, which are what is looked at first.
        found = await charts.chart(self._stores.charts, "top", "1h", GLOBAL, 0)
        return (
            None
            if found is None
            else ProjectionWatermark(position=found.position, complete_through=found.complete_through)
        )

    async def _read_by(self, store: DocumentStore) -> ProjectionWatermark | None:
        found = await store.read(PROGRESS, PROGRESS, WatermarkDocument)
        if found is None:
            return None
        return ProjectionWatermark(
            position={partition: one.position for partition, one in found.partitions.items()},
            complete_through=earliest(one.through for one in found.partitions.values()),
        )

    async def _uploads_now(self, troubles: list[str]) -> Waiting | None:
        if self._uploads is None or self._number % UPLOADS_EVERY == 0:
            try:
                self._uploads = await ingestions.waiting(self._stores.ingestions)
            except StoreUnavailableError as error:
                self._uploads = None
                troubles.append(f"{error}.")
        return self._uploads

    async def _playing_now(self, troubles: list[str]) -> tuple[NowPlaying, ...]:
        since = self._now() - timedelta(seconds=PLAYING_S)
        newest = [one for one in self._broadcast.newest if one.at >= since]
        try:
            titles = await self._titles.of(one.song_id for one in newest)
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
