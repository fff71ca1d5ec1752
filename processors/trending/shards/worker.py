"""The pump of the shards: partials to shards, and their reports to `trending-tops`."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from faust.types import TP
from msgspec import structs

from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.validation import check_partial
from songline.processors.trending.cells.wire import Partial
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.faust.gap_detection import GapDetector
from songline.processors.trending.faust.record_sender import OutgoingRecord, send_records
from songline.processors.trending.fold_guard import FoldGuard
from songline.processors.trending.parking_queue import ParkingQueue, unapplied_record
from songline.processors.trending.partition_tasks import partition_tasks
from songline.processors.trending.shards import wire as reports
from songline.processors.trending.shards.hour_alignment import HourAlignment
from songline.processors.trending.shards.report_turns import ReportTurns
from songline.processors.trending.shards.saved_through import SavedThrough
from songline.processors.trending.shards.shard_image import ShardImage
from songline.processors.trending.shards.shard_images import ShardImages
from songline.processors.trending.shards.shard_loads import LoadedShard, ShardLoads, bytes_behind, restore
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.spans import has_passed
from songline.processors.trending.state_version import FIRST, StateVersion
from songline.processors.trending.validation import StageLimits
from songline.schemas.channels import TRENDING_PARTIALS, TRENDING_TOPS
from songline.schemas.errors import PoisonError
from songline.schemas.policy import ChartPolicy
from songline.schemas.projections import FIRST_VERSION

log = logging.getLogger(__name__)

BACKLOG_WAIT_MS = 4_000
"""The first report has everything, so what comes within so long had better be in it. As long as a flush of the cells is
put off."""

TOGETHER_BYTES = 100_000
"""Messages of several source partitions are applied together until they have so much: of small ones, calls cost more
than their rows."""

SAVED_TOGETHER_BYTES = 500_000
"""Shards are saved by one request while they have no more than this between them: it is in memory at once."""


class ShardWorker:
    """Shards of the partitions of `trending-partials` that this worker holds. `has_backlog` says whether the first
    counts since these were assigned are on their way. `new_owner`: a name that no owner of a shard ever had."""

    def __init__(
        self,
        app: BatchedApp,
        saved: Changelog,
        limits: Callable[[], StageLimits],
        now_ms: Callable[[], int],
        turns: ReportTurns,
        parking: ParkingQueue,
        guard: FoldGuard,
        key: IdentityKey,
        new_owner: Callable[[], str],
        policy: ChartPolicy,
        version: StateVersion = FIRST,
        plays: int = FIRST_VERSION,
        has_backlog: Callable[[], bool] = lambda: False,
        images: ShardImages | None = None,
    ) -> None:
        self._images = images
        self._loads = None if images is None else ShardLoads(images, self._filled)
        self._through: dict[int, SavedThrough] = {}
        """Of each shard, how far an image of it may cover the changelog. None where a save has not come to its end."""
        self._plays = plays
        self._has_backlog = has_backlog
        self._assigned_ms = 0
        self._version = version
        self._app = app
        self._saved = saved
        self._limits = limits
        self._parking = parking
        self._guard = guard
        self._key = key
        self._new_owner = new_owner
        self._policy = policy
        self._owner = ""
        self._applied: dict[int, tuple[int, int | None]] = {}
        self._now_ms = now_ms
        self._turns = turns
        self._gaps = GapDetector(app, TRENDING_PARTIALS)
        self._shards: dict[int, Shard] = {}
        self._locks: dict[int, threading.Lock] = {}
        """Of each shard, held while something is applied to it or its windows slide, which is done in a thread."""
        self._alignments: dict[int, HourAlignment] = {}
        self._hourly: list[bytes] = []
        """Reports of hours that are not sent."""
        self._messages: dict[int, list[Any]] = defaultdict(list)
        self._busy = asyncio.Lock()
        self.news = asyncio.Event()
        """Set when a partition is read to its end and something was applied that is not reported: a report in between
        would have a part of a flush, and the rest would wait for the next one."""

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The shards that this worker holds, by number."""
        return self._shards

    async def consume(self, stream: Any) -> None:
        """Apply the batches of a stream, for as long as it lasts; those of several shards beside one another, since a
        piece waits for its note, its save and its commit."""
        async with partition_tasks() as tasks:
            async for event in stream.noack().events():
                await tasks.begin(event.message.partition, partial(self._take, event.message, event.value))

    async def _take(self, message: Any, batch: Batch) -> None:
        # What comes for no shard is not followed, so that it is read again once there is one.
        if message.partition not in self._shards or not await self._gaps.follows(message.partition, batch):
            return
        shard = self._shards.get(message.partition)
        if shard is None:
            return
        if shard.slides(self._now_ms()):
            # What is applied may complete an hour, whose lists are made at once and need windows of its first moment.
            async with self._busy:
                await self._slide(self._now_ms())
        await self._fold(shard, batch)
        if self._shards.get(message.partition) is shard:
            logged = batch.logged_ms
            self._applied[message.partition] = message.offset, logged[-1] if logged else None
            # Its offset is acknowledged by a save; its bodies may be megabytes until then.
            message.value = None
            self._messages[message.partition].append(message)
            if self._is_at_end(message.partition):
                self.news.set()

    async def _fold(self, shard: Shard, batch: Batch) -> None:
        tp = TP(TRENDING_PARTIALS, shard.number)
        fetched = self._app.consumer.fetch_position(tp)

        async def complete(position: int) -> None:
            # What a shard has applied may also end the worker later, when it makes its lists.
            await self.report(now=True)
            await self.save(now=shard.number)
            if self._shards.get(shard.number) is shard and shard.number in self._through:
                await self._app.consumer.commit_through(tp, position)

        end = None if fetched is None else fetched.end
        await self._guard.fold(shard.number, batch, self._owner, end, partial(self._apply, shard), complete)

    def _is_at_end(self, number: int) -> bool:
        """Whether the partition is applied to the end that was seen last."""
        fetched = self._app.consumer.fetch_position(TP(TRENDING_PARTIALS, number))
        return fetched is None or self._applied[number][0] + 1 >= fetched.end

    def _apply(self, shard: Shard, batch: Batch) -> None:
        if self._shards.get(shard.number) is not shard:
            # It was given up meanwhile: its next owner applies the batch.
            return
        limits, alignment = self._limits(), self._alignments[shard.number]
        with self._locks[shard.number]:
            self._take_messages(shard, alignment, batch, limits)

    def _take_messages(self, shard: Shard, alignment: HourAlignment, batch: Batch, limits: StageLimits) -> None:
        group: dict[int, Partial] = {}
        size_bytes = 0
        for index, message in enumerate(batch.bodies):
            if (body := self._version.unwrap(message)) is None:
                continue
            try:
                found = partials.decode(body)
                check_partial(found, shard.number, limits, shard.songs)
            except PoisonError as why:
                self._parking.add(TRENDING_PARTIALS, shard.number, unapplied_record(why, batch, index))
            else:
                # Of a source that the hub is not known to have, the counts count; its position does not.
                if found.partition >= limits.sources:
                    found = structs.replace(found, position=None, watermark_ms=None, hour=None)
                if found.partition in group or size_bytes >= TOGETHER_BYTES:
                    alignment.take(list(group.values()), limits.sources, limits.now_ms)
                    group, size_bytes = {}, 0
                group[found.partition] = found
                size_bytes += len(body)
        alignment.take(list(group.values()), limits.sources, limits.now_ms)

    def _align(self, shard: Shard) -> HourAlignment:
        def complete(hour: int) -> None:
            songs, tops, watermark = shard.lists_at(hour)
            self._hourly += reports.report_bodies(
                shard.number, True, songs, tops, watermark, hour=hour, owner=self._owner
            )
            # What has changed since was taken for the hour.
            self._turns.renew(shard.number)

        return HourAlignment(self._now_ms(), shard.apply, complete)

    def begin_early(self, numbers: Iterable[int]) -> None:
        """Load shards by their images that will probably be held."""
        if self._loads is not None:
            self._loads.begin(numbers)

    def drop_early(self) -> None:
        """Load no more of them."""
        if self._loads is not None:
            self._loads.drop()

    async def begin_recovery(self, numbers: Collection[int]) -> Mapping[int, int]:
        """Begin the recovery of these shards with their images; return the last offset that each of them covers."""
        images = {} if self._loads is None else await self._loads.images(numbers)
        for number, image in images.items():
            behind = image.header.offset
            log.info(
                "shard %d is restored by its image, %d bytes; recovery begins at %d", number, image.size_bytes, behind
            )
        offsets = {number: image.header.offset for number, image in images.items()}
        # Shards that are still being made of what was recovered before are not held: what comes now is not theirs.
        self._owner = ""
        self._saved.begin({key: value for image in images.values() for key, value in image.records.items()}, offsets)
        return offsets

    async def assigned(self, starts: dict[int, int], owner: str) -> None:
        """Hold these shards and no others, each from its first offset to read. What was saved of them is recovered."""
        self._messages.clear()
        self._owner = owner
        self._applied = {number: (start - 1, None) for number, start in starts.items()}
        self._gaps.start(starts)
        self._turns.clear()
        self._shards, self._alignments = {}, {}
        self._hourly = []
        self._through = {}
        recovered = {number: self._saved.recovered_through(number) for number in starts}
        await self._saved.prune(set(starts))
        if self._owner != owner:
            # What is recovered by now, and what is loaded, are the next owner's.
            return
        saved = {number: self._saved.records(f"{number}/") for number in starts}
        loaded = {} if self._loads is None else self._loads.take(starts)
        behind = {number: bytes_behind(records, loaded.get(number)) for number, records in saved.items()}
        restoring = (self._restored(number, owner, records, loaded.get(number)) for number, records in saved.items())
        restored = await asyncio.gather(*restoring)
        if self._owner == owner:
            self._alignments = {shard.number: self._align(shard) for shard in restored}
            self._shards = {shard.number: shard for shard in restored}
            self._locks = {shard.number: threading.Lock() for shard in restored}
            self._assigned_ms = self._now_ms()
            self._through = {number: SavedThrough(offset, behind[number]) for number, offset in recovered.items()}
            self._saved.clear()

    async def _restored(
        self, number: int, owner: str, saved: list[tuple[bytes, bytes]], loaded: LoadedShard | None
    ) -> Shard:
        """A shard with what was saved of it, the one that was loaded where there is one."""
        shard = self._new_shard(number, owner) if loaded is None else await loaded.filled
        # It takes no turn of the event loop: seconds of a large one.
        await asyncio.to_thread(restore, shard, saved, self._now_ms())
        return shard

    def _filled(self, number: int, image: ShardImage) -> Shard:
        """A shard with what its image has."""
        shard = self._new_shard(number, self._new_owner(), image)
        shard.advance(self._now_ms())
        shard.fill()
        return shard

    def _new_shard(self, number: int, owner: str, image: ShardImage | None = None) -> Shard:
        return Shard(number, owner, self._key, self._policy, self._plays, image)

    async def revoked(self) -> None:
        """Hold no shard. The next owners apply again what is not saved."""
        async with self._busy:
            self._gaps.start({})
            self._owner = ""
            self._shards, self._alignments = {}, {}
            self._through = {}
            self._hourly = []
            self._saved.recover_all()
            self._messages.clear()
            self._parking.forget(TRENDING_PARTIALS)
        await self._guard.close()

    def progress(self) -> Iterator[tuple[TP, int, int | None]]:
        for number in self._shards:
            yield TP(TRENDING_PARTIALS, number), *self._applied[number]

    async def report(self, *, now: bool = False) -> None:
        """Slide the windows of the shards whose turn it is to now, and report what changed. Where a backlog is on its
        way, the first report waits for it, unless it is wanted `now`."""
        async with self._busy:
            now_ms = self._now_ms()
            for alignment in self._alignments.values():
                alignment.advance(now_ms)
            await self._slide(now_ms)
            hourly, self._hourly = self._hourly, []
            records = [OutgoingRecord(TRENDING_TOPS, self._version.wrap(body), 0) for body in hourly]
            for number, shard in ({} if self.waits() and not now else self._shards).items():
                applied = self._applied[number][0]
                turn = self._turns.next(number, now_ms, applied)
                if turn is None:
                    continue
                shard.advance(now_ms)
                songs, tops = shard.report(whole=turn.whole, scoped=turn.scoped)
                watermark = shard.watermark(now_ms)
                bodies = reports.report_bodies(
                    number, turn.whole, songs, tops, watermark, scoped=turn.scoped, owner=self._owner
                )
                records += [OutgoingRecord(TRENDING_TOPS, self._version.wrap(body), 0) for body in bodies]
                self._turns.reported(number, turn, now_ms, applied, len(tops))
            await send_records(self._app.producer, records)

    def waits(self) -> bool:
        """Whether reports wait for what comes soon."""
        return not has_passed(BACKLOG_WAIT_MS, self._assigned_ms, self._now_ms()) and self._has_backlog()

    async def _slide(self, now_ms: int) -> None:
        """Slide windows beside the event loop, once a minute; one shard after the other, for their memory."""

        def slide(shard: Shard, lock: threading.Lock) -> None:
            with lock:
                shard.advance(now_ms)

        for shard, lock in [(shard, self._locks[number]) for number, shard in self._shards.items()]:
            if shard.slides(now_ms):
                await asyncio.to_thread(slide, shard, lock)

    async def save(self, *, now: int | None = None) -> None:
        """Save what was applied, and then let its offsets be committed; `now`: of that shard alone, and all of it."""
        async with self._busy:
            await self._saved.park()
            wanted = [one for one in self._shards.items() if now is None or one[0] == now]
            await self._save(wanted, is_all=now is not None)

    async def _save(
        self, shards: list[tuple[int, Shard]], *, is_all: bool = False, is_quiet: bool = False
    ) -> frozenset[int]:
        """Save shards, and return those that are saved as they were. `is_all`: also what would wait. Where nothing was
        applied, a shard is saved only with `is_all` or `is_quiet`."""
        records: list[OutgoingRecord] = []
        saved: list[Any] = []
        flushed: dict[int, SavedThrough] = {}
        for number, shard in shards:
            if is_all:
                await self._parking.park_all(TRENDING_PARTIALS, number)
            # Nothing is applied between the end of parking and the flush: what is acknowledged is parked and saved.
            if not await self._parking.park(TRENDING_PARTIALS, number) or self._shards.get(number) is not shard:
                continue
            alignment = self._alignments[number]
            if is_all:
                alignment.give_up()
            if alignment.waits or number not in self._through:
                # What waits, or was in a save that failed, is not in what would be saved. No offset behind it is to be
                # committed.
                continue
            messages = self._messages.pop(number, [])
            if messages or is_all or is_quiet:
                # What is flushed and not sent is not saved, and comes in no flush again.
                flushed[number] = self._through.pop(number)
                records += self._saved.outgoing(number, shard.flush())
                saved += messages
            if sum(len(one.body or b"") for one in records) > SAVED_TOGETHER_BYTES:
                await self._send_saved(records, saved, flushed)
                records, saved = [], []
        # Of several shards that is one request.
        await self._send_saved(records, saved, flushed)
        return frozenset(flushed)

    async def _send_saved(
        self, records: list[OutgoingRecord], messages: list[Any], flushed: Mapping[int, SavedThrough]
    ) -> None:
        answers = await send_records(self._app.producer, records)
        for number in {one.partition for one in records if one.partition is not None}:
            through = self._through[number] = flushed[number]
            size_bytes = sum(len(one.body or b"") for one in records if one.partition == number)
            through.advance([one.offset for one in answers if one.partition == number], size_bytes)
        for message in messages:
            self._app.consumer.ack(message)

    async def save_images(self) -> None:
        """Write the images of shards that are due."""
        if self._images is None:
            return
        for number, shard in list(self._shards.items()):
            through = self._through.get(number)
            if through is not None and self._images.is_due(number, through):

                def known(number: int = number, shard: Shard = shard) -> SavedThrough | None:
                    return self._through.get(number) if self._shards.get(number) is shard else None

                async def save(number: int = number, shard: Shard = shard) -> bool:
                    return number in await self._save([(number, shard)], is_quiet=True)

                await self._images.write(shard, self._busy, known, save)
