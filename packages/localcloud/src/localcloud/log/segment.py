"""One file of a partition: frames of (enqueued time, record batch), appended and never changed in place."""

import contextlib
import logging
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from localcloud.log.batch import BatchHeader, header_of
from localcloud.log.errors import DamagedLogError, LogOpenError
from localcloud.log.frame import ENQUEUED, FRAME_MIN, batch_of, crc_fits, head_fault
from localcloud.log.index import EVERY_BYTES, SegmentIndex

log = logging.getLogger(__name__)

T = TypeVar("T")

_RECOVERY_CHUNK = 4 << 20
_PART_BYTES = 256 << 10
NEWEST_BYTES = 128 << 10
"""So much of what was written last is kept in memory: readers that wait for it read it at once."""


class StoredBatch(NamedTuple):
    """A record batch as the client sent it, at its offsets. `enqueued_ms` is when the log took it (Unix ms)."""

    base_offset: int
    last_offset: int
    enqueued_ms: int
    data: bytes


class Segment:
    """Frames from `base_offset` on; only the first `index.size` bytes of the file count (they are on disk)."""

    def __init__(self, path: Path, index: SegmentIndex) -> None:
        self.path = path
        self.base_offset = int(path.stem)
        self.index = index
        self._damage: set[int] = set()
        self._newest: Sequence[StoredBatch] = ()

    @property
    def size(self) -> int:
        return self.index.size

    @classmethod
    def at(cls, folder: Path, base_offset: int) -> "Segment":
        """A segment without anything in it; the file comes with the first write."""
        return cls(folder / f"{base_offset:020d}.log", SegmentIndex())

    @classmethod
    def open_sealed(cls, path: Path) -> "Segment":
        """A segment that is complete. Its index file is believed when it fits; else the headers are walked.

        Raises `LogOpenError` when they don't lead to the file's end: readers would pass over the rest in silence.
        """
        size = path.stat().st_size
        index = SegmentIndex.load(path.with_suffix(".index"), size)
        if index is None:
            index = _walk(path, verify=False)
            if index.size < size:
                raise LogOpenError(
                    f"{path} is damaged: its batches can be followed to byte {index.size} (offset {index.last_offset}) "
                    f"of {size}. Restore the file, or move the hub's folder {path.parent.parent} away to begin anew."
                )
            with contextlib.suppress(OSError):  # a full disk: the next opening walks again
                index.save(path.with_suffix(".index"))
        segment = cls(path, index)
        segment.seal()
        return segment

    @classmethod
    def recover(cls, path: Path, synced_bytes: int = 0) -> "Segment":
        """The newest segment: every CRC is checked, and what a crash left half-written at its end is cut off.

        The first `synced_bytes` were on disk once. Raises DamagedLogError when they are not whole any more.
        """
        index = _walk(path, verify=True)
        found = path.stat().st_size
        if index.size < synced_bytes:
            fault = f"{synced_bytes} bytes were written and synced, and those from here on are not what they were"
            raise DamagedLogError(path, index.size, max(index.last_offset + 1, int(path.stem)), fault)
        if found > index.size:
            log.warning(
                "%s/%s: cut off %d bytes after offset %d that a crash left unfinished",
                path.parent.name, path.name, found - index.size, index.last_offset,
            )  # fmt: skip
            with path.open("r+b") as file:
                file.truncate(index.size)
                os.fsync(file.fileno())
        return cls(path, index)

    def extend(self, batches: Sequence[StoredBatch], max_timestamps: Sequence[int]) -> None:
        """The file has these batches at its end now, which have such timestamps at most."""
        for batch, max_timestamp in zip(batches, max_timestamps, strict=True):
            size = ENQUEUED.size + len(batch.data)
            self.index.add(batch.base_offset, batch.last_offset, batch.enqueued_ms, max_timestamp, size)
        self._newest = batches if sum(len(batch.data) for batch in batches) <= NEWEST_BYTES else ()

    def seal(self) -> None:
        """Nothing more is added, and the index is in its file: keep a part of it."""
        self.index = self.index.thinned()
        self._newest = ()

    def read(self, offset: int, max_bytes: int) -> list[StoredBatch]:
        """Batches from the one that holds `offset` (or follows it) on, up to `max_bytes`, but one at least if any."""
        if self._newest and offset >= self._newest[0].base_offset:
            return _fitting([batch for batch in self._newest if batch.last_offset >= offset], max_bytes)
        return self._found(
            lambda index: index.position_of(offset),
            lambda position: self._read(position, max_bytes, min_last_offset=offset),
        )

    def read_all(self) -> Iterator[StoredBatch]:
        """All batches, a part of them in memory at a time. Raises DamagedLogError at one that is not whole."""
        return self._batches(0, _PART_BYTES)

    def headers(self) -> Iterator[BatchHeader]:
        """The headers of all batches. Raises DamagedLogError."""
        position, next_offset = 0, self.base_offset
        if self.size:
            for _, header, size in _frames(self.path, verify=True, end=self.size):
                yield header
                position, next_offset = position + size, header.last_offset + 1
        if position < self.size:
            self._until_damage([], position, next_offset, "its batches can't be followed from here on")

    def first_enqueued(self, enqueued_ms: int) -> StoredBatch | None:
        """The first batch enqueued at that time or later."""
        return self._found(
            lambda index: index.position_at(enqueued_ms),
            lambda position: next((one for one in self._batches(position) if one.enqueued_ms >= enqueued_ms), None),
        )

    def first_timestamped(self, timestamp: int) -> StoredBatch | None:
        """The first batch that has a record with that timestamp or a later one."""
        return self._found(
            lambda index: index.position_of_timestamp(timestamp),
            lambda position: next(
                (one for one in self._batches(position) if header_of(one.data).max_timestamp >= timestamp), None
            ),
        )

    def _found(self, place: Callable[[SegmentIndex], int], read: Callable[[int], T]) -> T:
        """What `read` finds from that place of an index on. Raises DamagedLogError."""
        position = place(self.index)
        try:
            return read(position)
        except DamagedLogError:
            # What is damaged may be passed over from a nearer place, which the whole index of a sealed segment has.
            index = SegmentIndex.load(self.path.with_suffix(".index"), self.size)
            nearer = position if index is None else place(index)
            if nearer == position:
                raise
            return read(nearer)

    def _batches(self, position: int, part_bytes: int = 16 * EVERY_BYTES) -> Iterator[StoredBatch]:
        while position < self.size:
            for batch in self._read(position, part_bytes, min_last_offset=-1):
                yield batch
                position += ENQUEUED.size + len(batch.data)

    def _read(self, position: int, max_bytes: int, *, min_last_offset: int) -> list[StoredBatch]:
        """Raises DamagedLogError where the first wanted batch is not what was written."""
        available = self.size - position
        if available <= 0:
            return []
        batches: list[StoredBatch] = []
        budget = max_bytes
        with self.path.open("rb", buffering=0) as file:
            # What precedes the wanted batch by the index's coarseness is read along and passed over.
            data = _bytes_at(file, position, min(available, max_bytes + 2 * EVERY_BYTES))
            at, next_offset = 0, max(self.base_offset, min_last_offset)
            while position + at < self.size:
                left = self.size - position - at
                if at and at + FRAME_MIN > len(data):
                    position, at = position + at, 0
                    data = _bytes_at(file, position, min(left, max(budget, EVERY_BYTES)))
                fault = head_fault(data, at, left) if len(data) - at >= FRAME_MIN else "the file ends here"
                if fault:
                    return self._until_damage(batches, position + at, next_offset, fault)
                header = header_of(data, at + ENQUEUED.size)
                size = ENQUEUED.size + header.size
                if at + size > len(data):
                    if batches and header.size > budget:
                        break
                    position, at = position + at, 0
                    data = _bytes_at(file, position, min(left, max(size, budget, EVERY_BYTES)))
                # Also of those that are passed over: by a wrong number of records the wanted one would be, too.
                if at + size > len(data) or not crc_fits(data, at, header):
                    fault = "its CRC does not fit its bytes"
                    return self._until_damage(batches, position + at, next_offset, fault)
                if header.last_offset >= min_last_offset:
                    budget -= header.size
                    if budget < 0 and batches:
                        break
                    (enqueued_ms,) = ENQUEUED.unpack_from(data, at)
                    batch = batch_of(data, at, header)
                    batches.append(StoredBatch(header.base_offset, header.last_offset, enqueued_ms, batch))
                    if budget <= 0:
                        break
                next_offset = header.last_offset + 1
                at += size
        return batches

    def _until_damage(self, batches: list[StoredBatch], position: int, offset: int, fault: str) -> list[StoredBatch]:
        """The batches before the damage; where there are none, raises DamagedLogError. It is logged once."""
        if batches:
            return batches
        error = DamagedLogError(self.path, position, offset, fault)
        if position not in self._damage:
            self._damage.add(position)
            log.critical("%s", error)
        raise error


def _fitting(batches: Sequence[StoredBatch], max_bytes: int) -> list[StoredBatch]:
    """The first batches that have no more than `max_bytes`, but one at least if any."""
    fitting = bisect_right(list(accumulate(len(batch.data) for batch in batches)), max_bytes)
    return list(batches[: max(1, fitting)])


def _bytes_at(file: IO[bytes], position: int, wanted: int) -> bytearray:
    """So many bytes of the file, or those up to its end."""
    data = bytearray(wanted)
    file.seek(position)
    view, filled = memoryview(data), 0
    while filled < wanted and (count := file.readinto(view[filled:])):  # type: ignore[attr-defined] # of a raw file
        filled += count
    view.release()
    del data[filled:]
    return data


def _walk(path: Path, *, verify: bool) -> SegmentIndex:
    index = SegmentIndex()
    for enqueued_ms, header, size in _frames(path, verify=verify):
        index.add(header.base_offset, header.last_offset, enqueued_ms, header.max_timestamp, size)
    return index


def _frames(path: Path, *, verify: bool, end: int | None = None) -> Iterator[tuple[int, BatchHeader, int]]:
    """(enqueued time, header, frame size) of each frame, up to `end` or the first that isn't whole."""
    next_offset = int(path.stem)
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size if end is None else end
        position = 0
        data, at = b"", 0
        while position + FRAME_MIN <= size:
            if at + FRAME_MIN > len(data):
                data, at = os.pread(file.fileno(), _RECOVERY_CHUNK, position), 0
            if at + FRAME_MIN > len(data) or head_fault(data, at, size - position):
                return
            header = header_of(data, at + ENQUEUED.size)
            frame = ENQUEUED.size + header.size
            if header.base_offset < next_offset:
                return
            if at + frame > len(data):
                data, at = os.pread(file.fileno(), max(frame, _RECOVERY_CHUNK), position), 0
            if at + frame > len(data) or (verify and not crc_fits(data, at, header)):
                return
            yield ENQUEUED.unpack_from(data, at)[0], header, frame
            next_offset = header.last_offset + 1
            position += frame
            at += frame
