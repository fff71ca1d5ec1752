"""The pump of stage 1: batches of `music-events` to sources, and what they flush to the hubs."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from faust.types import TP

from songline.processors.trending.cells.partition_opener import PartitionOpener
from songline.processors.trending.cells.source_partition import SourceFlush, SourcePartition, hour_prefix, outdated
from songline.processors.trending.cells.start_positions import StartPosition
from songline.processors.trending.cells.state import ActionSection, LoadChunks
from songline.processors.trending.crash_isolation import FoldGuard
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.faust.gap_detection import GapDetector
from songline.processors.trending.faust.record_sender import OutgoingRecord, changes, keep, send
from songline.processors.trending.parking_queue import ParkingQueue
from songline.processors.trending.policy import moment
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.validation import cell_key, check_chunk
from songline.schemas.channels import MUSIC_EVENTS, TRENDING_CELLS_CHANGELOG, TRENDING_PARTIALS
from songline.schemas.decoding import read_text
from songline.schemas.errors import PoisonError

FAR_BEHIND = 20_000
CATCH_UP_MS = 4_000
"""With so many events to read, flushes come this far apart: the same songs come again, and are told once."""

MOST_UNWRITTEN = 150_000
"""Records of a partition that are counted and not flushed: so many are looked through for what ended a worker."""

PARK_AGAIN_S = 0.2
MANY = 100
"""While more records of a partition wait to be parked, it is not read on, and the others are."""


class CellWorker:
    """Sources of the partitions that this worker holds. `owner` names the worker's hold on them, each time anew."""

    def __init__(
        self,
        app: BatchedApp,
        table: Any,
        saved: Changelog,
        shards: int,
        now_ms: Callable[[], int],
        parking: ParkingQueue,
        guard: FoldGuard,
        settling: PartitionOpener,
    ) -> None:
        self._app = app
        self._table = table
        self._shards = shards
        self._now_ms = now_ms
        self._parking = parking
        self._guard = guard
        self._settling = settling
        self._stays = count()
        self._voids: dict[int, SourcePartition] = {}
        self._owner = ""
        self._flushed: dict[int, int] = {}
        self._saved = saved
        self._order = GapDetector(app, MUSIC_EVENTS, settling.doubt)
        self._songs = SongIndex(shards)
        self._regions = RegionIndex()
        self._sources: dict[int, SourcePartition] = {}
        self._messages: dict[int, list[Any]] = defaultdict(list)
        self._flushing = asyncio.Lock()
        self._flushed_ms = 0
        self._swept_hour = 0

    async def consume(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            if not await self._order.admits(message.partition, event.value):
                continue
            await self._take(message.partition, message, event.value)
            while self._parking.full and message.partition in self._sources:
                await self.flush(now=True)
                await asyncio.sleep(PARK_AGAIN_S)
            if self._unwritten(message.partition) > MOST_UNWRITTEN:
                await self.flush(now=True)

    async def _take(self, number: int, message: Any, batch: Batch) -> None:
        owner, reach = self._owner, self._app.consumer.reach(TP(MUSIC_EVENTS, number))

        def apply(part: Batch) -> None:
            source = self._sources[number]
            source.take(part)
            for record in source.take_passed_over():
                self._parking.add(MUSIC_EVENTS, number, record)

        async def settle(position: int) -> None:
            while self._owner == owner:
                await self.flush(now=True)
                if self._flushed.get(number, -1) >= position:
                    break
                await asyncio.sleep(PARK_AGAIN_S)
            await self._app.consumer.commit_through(TP(MUSIC_EVENTS, number), position)

        if number in self._sources:
            await self._guard.fold(number, batch, owner, None if reach is None else reach.end, apply, settle)
        if self._owner == owner and number in self._sources:
            self._messages[number].append(message)
            if self._parking.waiting(MUSIC_EVENTS, number) > MANY:
                self._app.on_hold.add(TP(MUSIC_EVENTS, number))

    def _unwritten(self, number: int) -> int:
        source = self._sources.get(number)
        return 0 if source is None else source.position - self._flushed.get(number, source.position)

    async def assigned(self, committed: dict[int, int | None], owner: str) -> None:
        """Hold these partitions and no others, each from where it is found to be read from; what others left is
        recovered."""
        self._messages.clear()
        self._owner = owner
        self._flushed = {number: -1 if offset is None else offset - 1 for number, offset in committed.items()}
        self._order.start({})
        self._sources, self._voids = {}, {}
        await self._saved.prune(set(committed))
        self._settling.assigned(self, committed)

    def open(self, number: int, ground: StartPosition) -> None:
        """Fold the partition from here on."""
        self._voids.pop(number, None)
        self._flushed[number] = ground.next - 1
        self._sources[number] = self._source(number, ground.next - 1, ground.level)
        self._order.expect(number, ground.next)

    def close(self, number: int, level: int | None) -> None:
        """Fold nothing of the partition. At `level` nothing of it is applied, which the shards are told; None: what is
        applied stays so."""
        self._order.expect(number, None)
        self._sources.pop(number, None)
        self._messages.pop(number, None)
        if level is not None:
            self._voids[number] = self._source(number, -1, level)

    def flushed(self, number: int) -> int:
        """The position up to which the partition is flushed."""
        return self._flushed.get(number, -1)

    def progress(self) -> Iterator[tuple[TP, int, int | None]]:
        for number, source in self._sources.items():
            yield TP(MUSIC_EVENTS, number), self.flushed(number), source.watermark_ms

    def _source(self, number: int, position: int, level: int) -> SourcePartition:
        owner = f"{self._owner}-{next(self._stays)}"
        load = self._load(number)
        return SourcePartition(number, owner, self._shards, self._songs, self._regions, load, position, level)

    async def revoked(self) -> None:
        """Finish the flush that is on its way; what it has not got is counted again by the next owner."""
        async with self._flushing:
            await self._settling.part()
            self._order.start({})
            self._sources, self._voids = {}, {}
            self._settling.revoked()
            self._messages.clear()
            self._parking.forget(MUSIC_EVENTS)
            self._app.on_hold.clear()
        await self._guard.close()

    async def flush(self, *, now: bool = False) -> None:
        """Park what was passed over, tell the shards what changed, save it, and only then let offsets be committed.

        A crash between any two of these steps makes the next owner repeat some of them, which changes nothing. Far
        behind, a flush is put off for a while unless it is wanted `now`.
        """
        async with self._flushing:
            now_ms = self._now_ms()
            if not now and self.far_behind() and now_ms - self._flushed_ms < CATCH_UP_MS:
                return
            self._flushed_ms = now_ms
            flushes: dict[int, SourceFlush] = {}
            messages: dict[int, list[Any]] = {}
            for number, source in list(self._voids.items()):
                if source.changed:
                    flushes[number] = source.flush(now_ms)
            for number, source in list(self._sources.items()):
                self._look_for_end(source)
                # Nothing is folded between the end of parking and the flush: what is acknowledged is parked.
                parked = source.changed and await self._parking.park(MUSIC_EVENTS, number)
                if parked and self._sources.get(number) is source:
                    self._app.on_hold.discard(TP(MUSIC_EVENTS, number))
                    flushes[number] = source.flush(now_ms)
                    keep(self._table, flushes[number].chunks)
                    messages[number] = self._messages.pop(number, [])
            await send(
                self._app.producer,
                [
                    OutgoingRecord(TRENDING_PARTIALS, body, shard)
                    for flush in flushes.values()
                    for shard, body in flush.partials
                ],
            )
            await send(
                self._app.producer,
                [
                    one
                    for number, flush in flushes.items()
                    for one in changes(TRENDING_CELLS_CHANGELOG, number, flush.chunks)
                ],
            )
            for number, done in messages.items():
                if number in self._sources:
                    self._flushed[number] = flushes[number].position
                for message in done:
                    self._app.consumer.ack(message)
            await self._saved.park()
            await self._sweep(now_ms)

    def behind(self) -> dict[TP, tuple[int, int]]:
        """Of each partition, what was counted and where it ends."""
        found = {}
        for number, source in self._sources.items():
            tp = TP(MUSIC_EVENTS, number)
            if (reach := self._app.consumer.reach(tp)) is not None:
                found[tp] = (source.position + 1, reach.end)
        return found

    def far_behind(self) -> bool:
        """Whether so much is to be read that other work had better wait."""
        return sum(end - position for position, end in self.behind().values()) > FAR_BEHIND

    def _look_for_end(self, source: SourcePartition) -> None:
        reach = self._app.consumer.reach(TP(MUSIC_EVENTS, source.number))
        if reach is not None and source.position + 1 >= reach.end:
            source.at_end(reach.polled_ms)

    async def _sweep(self, now_ms: int) -> None:
        """Once an hour, delete the cells that nothing can ask for any more."""
        hour = now_ms // 3_600_000
        if hour == self._swept_hour:
            return
        self._swept_hour = hour
        held = [read_text(key) for key in self._table.data if _is_cell(key)]
        gone = [key for key in outdated(held, moment(now_ms)) if int(key.split("/")[0]) in self._sources]
        for key in gone:
            values: dict[str, bytes | None] = {key: None}
            await send(self._app.producer, changes(TRENDING_CELLS_CHANGELOG, int(key.split("/")[0]), values))
            keep(self._table, values)

    def _load(self, number: int) -> LoadChunks:
        def load(hour: int) -> list[list[ActionSection]]:
            chunks = []
            for key, value in self._saved.records(hour_prefix(number, hour)):
                try:
                    chunks.append(check_chunk(value))
                except PoisonError as why:
                    self._saved.pass_over(key, value, why)
            return chunks

        return load


def _is_cell(key: bytes) -> bool:
    try:
        return bool(cell_key(key, int(key.partition(b"/")[0])))
    except (PoisonError, ValueError):
        return False


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000
