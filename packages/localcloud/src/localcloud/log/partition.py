"""One partition: record batches in order, of which readers see those that are on disk.

Appends are committed in groups: what arrives in one turn of the loop, or while the disk is busy with the group before,
is written and synced together (one `fdatasync`), in order. `high_watermark` moves after that and only then.
"""

import asyncio
import contextlib
import logging
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from localcloud.disk import Refusals
from localcloud.log import batch as record_batch
from localcloud.log.batch import BatchHeader
from localcloud.log.commits import Commits
from localcloud.log.compaction import CompactedFiles, compact, replace_files
from localcloud.log.errors import AppendError, InvalidOffsetError, LogClosedError
from localcloud.log.frame import batch_in, frame_head
from localcloud.log.recovery_point import RecoveryPoint
from localcloud.log.segment import Segment, StoredBatch
from localcloud.log.segment_files import joined, open_sealed, read_across, sync_folder, unlink

log = logging.getLogger(__name__)


class AppendedBatch(NamedTuple):
    """The offsets of an appended batch, and when it was appended (Unix ms)."""

    base_offset: int
    last_offset: int
    enqueued_ms: int


class LogSettings(NamedTuple):
    """How a partition keeps its files. `retention_ms` None keeps everything; a compacted log ignores it. With
    `append_time` records carry the time at which they were appended instead of their sender's."""

    segment_bytes: int = 64 << 20
    roll_ms: int = 24 * 3_600_000
    retention_ms: int | None = None
    compacted: bool = False
    tombstone_ms: int = 24 * 3_600_000
    append_time: bool = False


class _Pending(NamedTuple):
    place: AppendedBatch
    max_timestamp: int
    head: bytes
    tail: memoryview
    done: asyncio.Future[AppendedBatch]


class PartitionLog:
    """The log of one partition. All methods are called in the event loop; `open` may be called before there is one."""

    def __init__(
        self,
        folder: Path,
        settings: LogSettings,
        segments: list[Segment],
        commits: Commits,
        now_ms: Callable[[], int],
        refusals: Refusals,
    ) -> None:
        self.folder = folder
        self._settings = settings
        self._segments = segments
        self._commits = commits
        self._now_ms = now_ms
        self._refusals = refusals
        active = segments[-1]
        self.high_watermark = self.end_offset = max(active.base_offset, active.index.last_offset + 1)
        self.last_enqueued_ms = max(segment.index.last_enqueued_ms for segment in segments)
        self._pending: list[_Pending] = []
        self._committing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._unusable: OSError | None = None
        self.failures = 0  # how often appends failed that already had their offsets
        self._subscribers: dict[Callable[[], None], None] = {}
        self._compacted_to = -1
        self.keep_from: int | None = None
        """Retention deletes nothing from this offset on; None: it goes by age alone."""

    @classmethod
    def open(
        cls,
        folder: Path,
        settings: LogSettings,
        commits: Commits,
        now_ms: Callable[[], int],
        refusals: Refusals | None = None,
    ) -> "PartitionLog":
        """Recover what the folder holds: all of the older segments, and the newest up to its last whole batch.

        Partitions that share `commits` are written together where they are appended to together.
        Raises LogOpenError where an older one can't be followed, DamagedLogError where what was synced is not there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*-new"):
            leftover.unlink()
        paths = sorted(folder.glob("*.log"))
        segments = open_sealed(paths[:-1])
        point = RecoveryPoint.read(folder)
        if paths:
            segments = joined(segments, Segment.recover(paths[-1], point.synced_in(paths[-1])))
        return cls(
            folder, settings, segments or [Segment.at(folder, 0)], commits, now_ms, refusals or Refusals(folder.name)
        )

    # What readers see.

    @property
    def start_offset(self) -> int:
        """The first offset that can be read; rises with retention."""
        return self._segments[0].base_offset

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    def bytes_from(self, offset: int) -> int:
        """So many bytes are on disk from `offset` on, and less than 40 KiB more; negative where there are few."""
        first, *later = self._segments[self._segment_number(offset) :]
        known = first.size - first.index.position_of(offset) - first.index.slack_bytes
        return known + sum(segment.size for segment in later)

    def read(self, offset: int, max_bytes: int) -> list[StoredBatch]:
        """Batches from the one that holds `offset` on, below the high watermark.

        As many as fit in `max_bytes` without passing one over, but one at least if there is any; the first may begin
        before `offset`.
        Raises `InvalidOffsetError` outside of start_offset to high_watermark, `DamagedLogError` where the batch that
        holds `offset` is not what was written.
        """
        if not self.start_offset <= offset <= self.high_watermark:
            raise InvalidOffsetError(offset, self.start_offset, self.high_watermark)
        return read_across(self._segments[self._segment_number(offset) :], offset, max_bytes)

    def offset_at(self, ms: int, *, inclusive: bool = True) -> int:
        """The first offset enqueued at `ms` (Unix ms) or later, or only later; the high watermark if there is none."""
        wanted = ms if inclusive else ms + 1
        for segment in self._segments:
            if segment.index.last_enqueued_ms >= wanted:
                batch = segment.first_enqueued(wanted)
                if batch is not None:
                    return max(batch.base_offset, self.start_offset)
        return self.high_watermark

    def record_at(self, timestamp: int) -> tuple[int, int] | None:
        """(offset, timestamp) of the first record whose own timestamp (ms) is at least that, or None."""
        for segment in self._segments:
            if segment.index.max_timestamp >= timestamp:
                batch = segment.first_timestamped(timestamp)
                if batch is not None:
                    header = record_batch.header_of(batch.data)
                    if header.attributes & record_batch.APPEND_TIME:
                        return batch.base_offset, header.max_timestamp
                    base = header.base_timestamp
                    for place, record in enumerate(record_batch.records(batch.data)):
                        # A sender may write what makes a sum of more bits than a moment has.
                        moment = min(base + record.timestamp_delta, header.max_timestamp)
                        if moment >= timestamp:
                            delta = place if header.is_whole else record.offset_delta
                            return batch.base_offset + delta, moment
        return None

    def latest_record(self) -> tuple[int, int] | None:
        """(offset, timestamp) of the first record with the greatest timestamp, or None when there is none."""
        greatest = max(segment.index.max_timestamp for segment in self._segments)
        return None if greatest < 0 else self.record_at(greatest)

    def recent_headers(self) -> Iterator[BatchHeader]:
        """The headers of the batches in the two newest segments, in order."""
        for segment in self._segments[-2:]:
            yield from segment.headers()

    async def wait_for(self, offset: int) -> None:
        """Return when `offset` can be read."""
        if self.high_watermark > offset:
            return
        moved = asyncio.Event()
        self.subscribe(moved.set)
        try:
            while self.high_watermark <= offset:
                await moved.wait()
                moved.clear()
        finally:
            self.unsubscribe(moved.set)

    @property
    def append_time(self) -> bool:
        """Whether records carry the time at which they were appended."""
        return self._settings.append_time

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, in the loop, whenever the high watermark has moved."""
        self._subscribers[callback] = None

    def unsubscribe(self, callback: Callable[[], None]) -> None:
        self._subscribers.pop(callback, None)

    def _segment_number(self, offset: int) -> int:
        return max(0, bisect_right(self._segments, offset, key=lambda segment: segment.base_offset) - 1)

    # Appending.

    async def append(self, batch: bytes) -> AppendedBatch:
        """Append one record batch; returns when it is on disk.

        Raises `InvalidBatchError` (its bytes are at fault), `AppendError` (the disk is), `LogClosedError`.
        """
        return await self.submit(batch)

    def submit(self, batch: bytes) -> asyncio.Future[AppendedBatch]:
        """Like `append`, but the batch has its place as soon as this returns: calls order appends."""
        if self._closed:
            raise LogClosedError("The log is closed.")
        if self._unusable is not None:
            raise AppendError(self._segments[-1].path, self._unusable)
        header = record_batch.check(batch)
        loop = asyncio.get_running_loop()
        self.last_enqueued_ms = max(self._now_ms(), self.last_enqueued_ms)
        max_timestamp = header.max_timestamp
        if self._settings.append_time:
            max_timestamp = self.last_enqueued_ms
            batch = record_batch.appended_at(batch, max_timestamp)
        place = AppendedBatch(self.end_offset, self.end_offset + header.last_offset_delta, self.last_enqueued_ms)
        self.end_offset = place.last_offset + 1
        head = frame_head(place.enqueued_ms, place.base_offset, header.batch_length)
        tail = memoryview(batch)[record_batch.MAGIC_AT :]
        done: asyncio.Future[AppendedBatch] = loop.create_future()
        self._pending.append(_Pending(place, max_timestamp, head, tail, done))
        if not self._committing:
            self._committing = True
            self._idle.clear()
            loop.call_soon(self._commit)
        return done

    def _commit(self) -> None:
        """Hand everything that waits to a thread, which writes and syncs it."""
        group, self._pending = self._pending, []
        active = self._segments[-1]
        size = sum(len(item.head) + len(item.tail) for item in group)
        old = active.size > 0 and group[0].place.enqueued_ms - active.index.first_enqueued_ms >= self._settings.roll_ms
        target = active
        if old or (active.size > 0 and active.size + size > self._settings.segment_bytes):
            target = Segment.at(self.folder, group[0].place.base_offset)
        written = self._commits.run(partial(self._write, active, target, group))
        written.add_done_callback(lambda done: self._finish_commit(target, group, done))

    def _write(self, active: Segment, target: Segment, group: list[_Pending]) -> None:
        """In a thread: the group's frames to the end of `target`, on disk. Cuts off what it could not finish."""
        fresh = target.size == 0
        try:
            if target is not active:
                active.index.save(active.path.with_suffix(".index"))
            fd = os.open(target.path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                data = memoryview(b"".join(part for item in group for part in (item.head, item.tail)))
                position = target.size
                while data:
                    count = os.pwrite(fd, data, position)
                    data, position = data[count:], position + count
                os.fdatasync(fd)
                if fresh:
                    sync_folder(self.folder)
                RecoveryPoint(target.base_offset, position).write(self.folder)
            except OSError:
                os.ftruncate(fd, target.size)
                raise
            finally:
                os.close(fd)
        except OSError:
            if target is not active:
                target.path.unlink(missing_ok=True)
            raise

    def _finish_commit(self, target: Segment, group: list[_Pending], written: "asyncio.Future[None]") -> None:
        error = written.exception()
        if error is not None:
            self._fail_commit(target, group, error)
            return
        if target is not self._segments[-1]:
            self._segments[-1].seal()
            self._segments.append(target)
        stored = [StoredBatch(*item.place, batch_in(item.head, item.tail)) for item in group]
        target.extend(stored, [item.max_timestamp for item in group])
        self.high_watermark = group[-1].place.last_offset + 1
        self._refusals.accepted()
        if self._pending:
            self._commit()
        else:
            self._mark_idle()
        for item in group:
            if not item.done.done():
                item.done.set_result(item.place)
        for callback in tuple(self._subscribers):
            callback()

    def _fail_commit(self, target: Segment, group: list[_Pending], error: BaseException) -> None:
        """Fail every append that is not on disk: the group that failed, and those that waited behind it."""
        cause = error if isinstance(error, OSError) else OSError(0, f"{type(error).__name__}: {error}")
        self._refusals.refused(cause, f"{self.folder.parent.name}/{self.folder.name}/{target.path.name}")
        self.failures += 1
        behind, self._pending = self._pending, []
        self._mark_idle()
        self.end_offset = self.high_watermark
        self.last_enqueued_ms = max(segment.index.last_enqueued_ms for segment in self._segments)
        with contextlib.suppress(FileNotFoundError):
            if target.path.stat().st_size > target.size:
                log.critical(
                    "%s: could not be cut back to its last good batch; no more appends until a restart", target.path
                )
                self._unusable = cause
        for item in group + behind:
            if not item.done.done():
                item.done.set_exception(AppendError(target.path, cause))
                item.done.exception()  # its waiter may be cancelled; the log has the reason

    async def close(self) -> None:
        """Refuse further appends, and return when those that were taken are on disk (or have failed)."""
        self._closed = True
        await self._idle.wait()

    def drop(self) -> None:
        """Refuse further appends; the files are about to go. Subscribers are called, and find the log closed."""
        self._closed = True
        for callback in tuple(self._subscribers):
            callback()

    def _mark_idle(self) -> None:
        self._committing = False
        self._idle.set()

    # Retention and compaction.

    async def maintain(self) -> None:
        """Drop what is past its retention, or compact."""
        if self._settings.compacted:
            await self._compact()
        elif self._settings.retention_ms is not None:
            self._retain(self._now_ms() - self._settings.retention_ms)

    def _retain(self, not_before_ms: int) -> None:
        """Oldest first, so that a crash in between leaves no gap; the active segment always stays."""
        expired = 0
        for segment in self._segments[:-1]:
            if segment.index.last_enqueued_ms >= not_before_ms:
                break
            if self.keep_from is not None and segment.index.last_offset >= self.keep_from:
                break
            expired += 1
        for segment in self._segments[:expired]:
            unlink(segment)
            self._segments = self._segments[1:]
        if expired:
            sync_folder(self.folder)
            log.info("%s/%s: %d segments expired, first offset is now %d",
                     self.folder.parent.name, self.folder.name, expired, self.start_offset)  # fmt: skip

    async def _compact(self) -> None:
        """Rewrite the sealed segments with the last record of each key, when at least half of them is new."""
        sealed = self._segments[:-1]
        fresh = sum(segment.size for segment in sealed if segment.index.last_offset > self._compacted_to)
        if not fresh or fresh * 2 < sum(segment.size for segment in sealed):
            return
        horizon = self._now_ms() - self._settings.tombstone_ms
        started = time.monotonic()
        result: CompactedFiles = await asyncio.get_running_loop().run_in_executor(
            self._commits.executor, compact, sealed, horizon, self._settings.segment_bytes
        )
        before = sum(segment.size for segment in sealed)
        if self._closed:
            return
        active = self._segments[len(sealed) :]
        try:
            replaced = replace_files(sealed, result)
        except OSError:
            # Some files are the new ones and some are not, as after a crash: go by what is there.
            for leftover in self.folder.glob("*-new"):
                with contextlib.suppress(OSError):
                    leftover.unlink()
            paths = sorted(self.folder.glob("*.log"))
            self._segments = open_sealed([path for path in paths if int(path.stem) < active[0].base_offset]) + active
            raise
        self._segments = replaced + active
        self._compacted_to = sealed[-1].index.last_offset
        log.info("%s/%s: compacted %d bytes to %d in %.2f s", self.folder.parent.name, self.folder.name, before,
                 sum(segment.size for segment in replaced), time.monotonic() - started)  # fmt: skip
