"""The pump of the cells: batches of `music-events` to source partitions, and their flushes to the hubs."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from faust.types import TP

from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells.flush_groups import BACKLOG_FLUSH_EVENTS, FLUSH_EVENTS, flush_groups
from songline.processors.trending.cells.hour_store import NOTHING_EARLY, HourStore
from songline.processors.trending.cells.matched_batch import matched_batch
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.partition_opener import PartitionOpener
from songline.processors.trending.cells.source_partition import SourceFlush, SourcePartition, oldest_hour, outdated
from songline.processors.trending.cells.start_positions import StartPosition
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.faust.gap_detection import GapDetector
from songline.processors.trending.faust.record_sender import OutgoingRecord, send_records
from songline.processors.trending.first_backlog import BacklogFlush, UnreadRange
from songline.processors.trending.fold_guard import FoldGuard
from songline.processors.trending.parking_queue import ParkingQueue
from songline.processors.trending.partition_tasks import partition_tasks
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.spans import HOUR_MS, has_passed
from songline.processors.trending.state_version import FIRST, StateVersion
from songline.schemas.channels import MUSIC_EVENTS, TRENDING_PARTIALS
from songline.schemas.decoding import read_text
from songline.schemas.name_matches import NO_MATCHES, NameMatches
from songline.schemas.policy import ChartPolicy

FAR_BEHIND = 100_000
CATCH_UP_MS = 4_000
"""The pause between flushes with more than FAR_BEHIND events to read: the same songs come again, and are sent once."""

QUIET_MS = 2_000
"""The pause between flushes that say no more than that nothing came."""

MOST_UNWRITTEN = 150_000
"""Records of a partition that are counted and not flushed: the record that ended a worker is among so many."""

PAUSE_S = 0.2
HOLD_WAITING = 100
"""While more records of a partition wait to be parked, it is not read on, and the others are."""


class CellWorker:
    """The source partitions that this worker holds. `owner` names its hold on them, each time anew. `matches` gives the
    songs that stand behind names."""

    def __init__(
        self,
        app: BatchedApp,
        saved: Changelog,
        hours: HourStore,
        shards: int,
        now_ms: Callable[[], int],
        parking: ParkingQueue,
        guard: FoldGuard,
        opener: PartitionOpener,
        policy: ChartPolicy,
        version: StateVersion = FIRST,
        matches: Callable[[], NameMatches] = lambda: NO_MATCHES,
    ) -> None:
        self._matches = matches
        self._version = version
        self._app = app
        self._hours = hours
        self._shards = shards
        self._now_ms = now_ms
        self._parking = parking
        self._guard = guard
        self._opener = opener
        self._policy = policy
        self._opened = count()
        self._awaited: dict[int, PartitionCells] = {}
        """The cells of partitions that are not open yet: their hours are loaded meanwhile."""
        self._void: dict[int, SourcePartition] = {}
        """Partitions of which nothing is applied at their level; a flush reports that to the shards."""
        self._owner = ""
        self._flushed: dict[int, int] = {}
        self._saved = saved
        self._gaps = GapDetector(app, MUSIC_EVENTS, opener.reopen)
        self._songs = SongIndex(shards)
        self._regions = RegionIndex()
        self._users = UserHashes()
        self._sources: dict[int, SourcePartition] = {}
        self._messages: dict[int, list[Any]] = defaultdict(list)
        self._flushing = asyncio.Lock()
        self._flushed_ms = self._sent_ms = 0
        self._backlog = BacklogFlush()
        self.news = asyncio.Event()
        """Set when a partition is read to its end and there is something to flush, or a short backlog is folded."""
        self._swept: dict[int, int] = {}

    async def consume(self, stream: Any) -> None:
        """Fold the batches of a stream, for as long as it lasts; those of several partitions beside one another, since
        a piece waits for its note, its flush and its commit."""
        async with partition_tasks() as tasks:
            async for event in stream.noack().events():
                await tasks.begin(event.message.partition, partial(self._take, event.message, event.value))

    async def _take(self, message: Any, batch: Batch) -> None:
        if not await self._gaps.follows(message.partition, batch):
            return
        await self._fold(message.partition, message, matched_batch(batch, self._matches()))
        while self._parking.full and message.partition in self._sources:
            await self.flush(now=True)
            await asyncio.sleep(PAUSE_S)
        if self._unwritten(message.partition) > MOST_UNWRITTEN:
            await self.flush(now=True)
        if self._unwritten(message.partition) > MOST_UNWRITTEN:
            # An hour can't be loaded: the other partitions go on.
            self._app.on_hold.add(TP(MUSIC_EVENTS, message.partition))

    async def _fold(self, number: int, message: Any, batch: Batch) -> None:
        source, fetched = self._sources.get(number), self._app.consumer.fetch_position(TP(MUSIC_EVENTS, number))
        if source is None:
            return

        def is_held() -> bool:
            """Whether the partition was not given up meanwhile: its next owner folds the batch."""
            return self._sources.get(number) is source

        def apply(part: Batch) -> None:
            if is_held():
                source.apply(part)
                self._park(number, source)

        async def complete(position: int) -> None:
            await self._flush_through(number, position, is_held)
            if is_held():
                await self._app.consumer.commit_through(TP(MUSIC_EVENTS, number), position)

        end = None if fetched is None else fetched.end
        await self._guard.fold(number, batch, self._owner, end, apply, complete)
        if is_held():
            # Its offset is acknowledged by a flush; its bodies may be megabytes until then.
            message.value = None
            self._messages[number].append(message)
            progress = self._progress()
            is_folded, is_left = self._backlog.advance(progress), self._backlog.is_left(progress)
            if (is_left or not self.far_behind()) and not self._flushing.locked():
                # Far behind, a flush asks for the hours of many more events at once. Beside a flush an hour would be
                # loaded without what that is sending, which is saved at its end.
                self._hours.load_beside(number, source.cells, self._now_ms())
            if is_folded or (self._is_at_end(source) and not is_left):
                self.news.set()
            if self._parking.waiting(MUSIC_EVENTS, number) > HOLD_WAITING:
                self._app.on_hold.add(TP(MUSIC_EVENTS, number))

    async def _flush_through(self, number: int, position: int, is_held: Callable[[], bool]) -> None:
        """Return when the partition is flushed up to a position, or not held any more."""
        while is_held():
            # Partitions that are folded in pieces wait beside one another, and one flush does for all of them.
            async with self._flushing:
                if self.flushed(number) < position:
                    await self._flush(self._now_ms())
            if self.flushed(number) >= position:
                return
            await asyncio.sleep(PAUSE_S)

    def _park(self, number: int, source: SourcePartition) -> None:
        for record in source.take_unapplied():
            self._parking.add(MUSIC_EVENTS, number, record)

    def _unwritten(self, number: int) -> int:
        source = self._sources.get(number)
        return 0 if source is None else source.position + source.waiting - self._flushed.get(number, source.position)

    @contextmanager
    def loading_early(self, numbers: Iterable[int]) -> Iterator[None]:
        """Load what is sealed of the open hours of partitions that will probably be assigned, no longer than in the
        block."""
        for number in numbers:
            self._hours.load_early(number, self._new_cells(), self._now_ms())
        try:
            yield
        finally:
            self._hours.drop_early()

    async def assigned(self, committed: dict[int, int | None], owner: str) -> None:
        """Hold these partitions and no others; each is folded once it is opened. What earlier owners saved is
        recovered."""
        self._messages.clear()
        self._owner = owner
        self._flushed = {number: -1 if offset is None else offset - 1 for number, offset in committed.items()}
        self._gaps.start({})
        self._backlog = BacklogFlush()
        self._sources, self._void, self._awaited = {}, {}, {}
        removed = await self._saved.prune(set(committed))
        if self._owner == owner:
            self._hours.restore_marks(removed)
            for number in committed:
                early = self._hours.take_early(number)
                cells, loads = (self._new_cells(), NOTHING_EARLY) if early is None else early
                self._awaited[number] = cells
                self._hours.preload(number, cells, self._now_ms(), loads)
            self._hours.drop_early()
            self._opener.assigned(self, committed)

    def open(self, number: int, start: StartPosition) -> None:
        """Fold the partition from here on."""
        self._void.pop(number, None)
        self._flushed[number] = start.next - 1
        cells = self._awaited.pop(number, None)
        source = self._sources[number] = self._source(number, start.next - 1, start.level, cells)
        if cells is None:
            self._hours.preload(number, source.cells, self._now_ms())
        self._gaps.expect(number, start.next)

    def close(self, number: int, level: int | None) -> None:
        """Fold nothing of the partition. At `level` nothing of it is applied, and the shards are to know; None: what is
        applied stays so."""
        self._gaps.expect(number, None)
        self._awaited.pop(number, None)
        self._sources.pop(number, None)
        self._messages.pop(number, None)
        if level is not None:
            self._void[number] = self._source(number, -1, level)

    @property
    def hours_error(self) -> Exception | None:
        """Why an hour of the partitions that are held could not be loaded or sealed at the last try."""
        return self._hours.last_error(self._sources)

    def flushed(self, number: int) -> int:
        """The position up to which the partition is flushed."""
        return self._flushed.get(number, -1)

    def progress(self) -> Iterator[tuple[TP, int, int | None]]:
        for number, source in self._sources.items():
            yield TP(MUSIC_EVENTS, number), self.flushed(number), source.watermark_ms

    def _new_cells(self) -> PartitionCells:
        return PartitionCells(self._songs, self._hours.key, count())

    def _source(self, number: int, position: int, level: int, cells: PartitionCells | None = None) -> SourcePartition:
        owner = f"{self._owner}-{next(self._opened)}"
        shared = (self._shards, self._songs, self._regions, self._users, self._hours.key)
        return SourcePartition(number, owner, *shared, position, level, self._policy, cells)

    async def revoked(self) -> None:
        """Finish a flush that has begun. The next owner counts again what is not flushed."""
        async with self._flushing:
            await self._opener.save_before_revoked()
            self._owner = ""
            self._gaps.start({})
            self._sources, self._void, self._awaited = {}, {}, {}
            self._opener.revoked()
            self._messages.clear()
            await self._hours.load_missing({}, self._now_ms())
            self._parking.forget(MUSIC_EVENTS)
            self._app.on_hold.clear()
        await self._guard.close()

    async def flush(self, *, now: bool = False) -> None:
        """Park what could not be applied, send the shards what changed, save it, and then let offsets be committed.

        A crash between any two of these steps makes the next owner repeat some of them, which changes nothing. Far
        behind, and until a short backlog is folded, a flush is put off for a while unless it is wanted `now`.
        """
        async with self._flushing:
            now_ms = self._now_ms()
            is_behind = self._backlog.is_left(self._progress()) or self.far_behind()
            is_due = has_passed(CATCH_UP_MS, self._flushed_ms, now_ms)
            # A partition on hold may wait for a flush.
            if now or is_due or not is_behind or self._app.on_hold:
                await self._flush(now_ms)

    async def _flush(self, now_ms: int) -> None:
        """The flush itself, while no other one is under way."""
        self._flushed_ms = now_ms
        void = {number: source.flush(now_ms) for number, source in list(self._void.items()) if source.changed}
        await self._send(void, now_ms)
        sources = list(self._sources.items())
        for number, source in sources:
            source.await_hour(now_ms)
            self._park(number, source)
            self._advance_at_end(source)
        await self._hours.load_missing({**self._awaited, **{number: one.cells for number, one in sources}}, now_ms)
        if has_passed(QUIET_MS, self._sent_ms, now_ms) or any(source.has_news for _, source in sources):
            is_backlog = self._backlog.is_unflushed(self._progress(), self.flushed)
            most = BACKLOG_FLUSH_EVENTS if is_backlog else FLUSH_EVENTS
            for some in flush_groups(sources, lambda one: self._unwritten(one[0]), most):
                await self._flush_sources(some, now_ms)
        await self._saved.park()

    async def _flush_sources(self, sources: list[tuple[int, SourcePartition]], now_ms: int) -> None:
        """Flush some partitions, and let their offsets be committed."""
        flushes: dict[int, SourceFlush] = {}
        messages: dict[int, tuple[SourcePartition, list[Any]]] = {}
        for number, source in sources:
            # What a flush had that went wrong is in no later one: the next owner counts it again, and has to begin
            # before it.
            if not source.cells.is_saved or not source.changed or source.cells.missing():
                continue
            # Nothing is folded between the end of parking and the flush: what is acknowledged is parked.
            parked = await self._parking.park(MUSIC_EVENTS, number)
            if parked and self._sources.get(number) is source and not source.cells.missing():
                self._app.on_hold.discard(TP(MUSIC_EVENTS, number))
                flush = flushes[number] = source.flush(now_ms)
                self._park(number, source)
                # The last ones may have events that wait for an hour to be flushed.
                read = self._messages.pop(number, [])
                done = [one for one in read if one.offset <= flush.position]
                self._messages[number] = read[len(done) :]
                messages[number] = source, done
        await self._send(flushes, now_ms)
        for number, (source, done) in messages.items():
            source.cells.is_saved = True
            # Of a partition that was opened anew meanwhile these positions may be another hub's.
            if self._sources.get(number) is source:
                self._flushed[number] = flushes[number].position
                for message in done:
                    self._app.consumer.ack(message)

    async def _send(self, flushes: dict[int, SourceFlush], now_ms: int) -> None:
        """Send the shards what changed, and then save it."""
        if flushes:
            self._sent_ms = now_ms
        partials = [
            OutgoingRecord(TRENDING_PARTIALS, self._version.wrap(body), shard)
            for flush in flushes.values()
            for shard, body in flush.partials
        ]
        await send_records(self._app.producer, partials)
        chunks = [record for number, flush in flushes.items() for record in self._saved.outgoing(number, flush.chunks)]
        await send_records(self._app.producer, chunks)
        for flush in flushes.values():
            self._saved.update(flush.chunks)

    async def seal(self) -> None:
        """Unload hours that are over, seal what is due, index an hour of long ago, delete what no window can show."""
        for number, source in list(self._sources.items()):
            now_ms = self._now_ms()
            async with self._flushing:
                self._hours.unload(source, now_ms)
                # What has left the memory is sealed, though late events go on coming for it.
                due = self._hours.due(source, now_ms)
            for hour, keys in due.items():
                await self._hours.seal(source, hour, keys, lambda: self._sources.get(number) is source)  # noqa: B023
            if not self.far_behind():
                await self._hours.save_images(source, self._flushing, now_ms)
                await self._hours.index(number, now_ms)
            await self._delete_outdated(source, now_ms)

    def far_behind(self) -> bool:
        """Whether so much is to be read that other work had better wait."""
        return sum(one.end - one.next for one in self._progress()) > FAR_BEHIND

    def has_backlog(self) -> bool:
        """Whether partitions are being opened, or have little to read until they are at their ends for the first time,
        and it is not flushed yet."""
        return bool(self._awaited) or self._backlog.is_unflushed(self._progress(), self.flushed)

    def _progress(self) -> list[UnreadRange]:
        """How far the partitions are folded of which something was fetched."""
        found = [
            (one, self._app.consumer.fetch_position(TP(MUSIC_EVENTS, one.number))) for one in self._sources.values()
        ]
        return [UnreadRange(one.number, one.position + 1, at.end) for one, at in found if at is not None]

    def _advance_at_end(self, source: SourcePartition) -> None:
        """Advance the watermark of a partition that was read to its end."""
        fetched = self._app.consumer.fetch_position(TP(MUSIC_EVENTS, source.number))
        if fetched is not None and source.position + 1 >= fetched.end:
            source.at_end(fetched.polled_ms)

    def _is_at_end(self, source: SourcePartition) -> bool:
        """Whether the partition is read to the end that was seen last."""
        fetched = self._app.consumer.fetch_position(TP(MUSIC_EVENTS, source.number))
        return fetched is not None and source.position + 1 >= fetched.end

    async def _delete_outdated(self, source: SourcePartition, now_ms: int) -> None:
        """Once an hour, delete the cells of a partition that no window can show any more."""
        number, hour = source.number, now_ms // HOUR_MS
        async with self._flushing:
            if self._swept.get(number) == hour or self._sources.get(number) is not source:
                return
            self._swept[number] = hour
            held = [read_text(key) for key, _ in self._saved.records(f"{number}/")]
            values: dict[str, bytes | None] = dict.fromkeys(outdated(held, number, now_ms))
            await send_records(self._app.producer, self._saved.outgoing(number, values))
            self._saved.update(values)
        # No flush waits for Blob Storage to say what it has.
        await self._hours.delete_before(number, oldest_hour(now_ms))


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000
