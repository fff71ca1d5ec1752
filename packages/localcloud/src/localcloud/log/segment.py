"""One file of a partition: frames of (enqueued time, record batch), appended and never changed in place."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from crc32c import crc32c

from localcloud.log.batch import CRC_FROM, HEADER_SIZE, BatchHeader, header_of
from localcloud.log.errors import LogOpenError
from localcloud.log.index import EVERY_BYTES, SegmentIndex

log = logging.getLogger(__name__)

ENQUEUED = Struct(">q")
FRAME_HEAD = Struct(">qqii")  # enqueued time (ms), base offset, batch length, partition leader epoch
FRAME_MIN = ENQUEUED.size + HEADER_SIZE
_PEEK = Struct(">qqi11xi")  # enqueued time, base offset, batch length, last offset delta
_RECOVERY_CHUNK = 4 << 20


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
        return cls(path, index)

    @classmethod
    def recover(cls, path: Path) -> "Segment":
        """The newest segment: every CRC is checked, and what a crash left half-written at its end is cut off."""
        index = _walk(path, verify=True)
        found = path.stat().st_size
        if found > index.size:
            log.warning(
                "%s/%s: cut off %d bytes after offset %d that a crash left unfinished",
                path.parent.name, path.name, found - index.size, index.last_offset,
            )  # fmt: skip
            with path.open("r+b") as file:
                file.truncate(index.size)
                os.fsync(file.fileno())
        return cls(path, index)

    def read(self, offset: int, max_bytes: int) -> list[StoredBatch]:
        """Batches from the one that holds `offset` (or follows it) on, up to `max_bytes`, but one at least if any."""
        return self._read(self.index.position_of(offset), max_bytes, min_last_offset=offset)

    def read_all(self) -> list[StoredBatch]:
        return self._read(0, self.size, min_last_offset=-1)

    def headers(self) -> Iterator[BatchHeader]:
        if self.size:
            yield from (header for _, header, _ in _frames(self.path, verify=False, end=self.size))

    def first_enqueued(self, enqueued_ms: int) -> StoredBatch | None:
        """The first batch enqueued at that time or later."""
        batches = self._batches(self.index.position_at(enqueued_ms))
        return next((batch for batch in batches if batch.enqueued_ms >= enqueued_ms), None)

    def first_timestamped(self, timestamp: int) -> StoredBatch | None:
        """The first batch that has a record with that timestamp or a later one."""
        batches = self._batches(self.index.position_of_timestamp(timestamp))
        return next((batch for batch in batches if header_of(batch.data).max_timestamp >= timestamp), None)

    def _batches(self, position: int) -> Iterator[StoredBatch]:
        while position < self.size:
            for batch in self._read(position, 16 * EVERY_BYTES, min_last_offset=-1):
                yield batch
                position += ENQUEUED.size + len(batch.data)

    def _read(self, position: int, max_bytes: int, *, min_last_offset: int) -> list[StoredBatch]:
        available = self.size - position
        if available <= 0:
            return []
        batches: list[StoredBatch] = []
        budget = max_bytes
        with self.path.open("rb", buffering=0) as file:
            # What precedes the wanted batch by the index's coarseness is read along and passed over.
            data = os.pread(file.fileno(), min(available, max_bytes + 2 * EVERY_BYTES), position)
            at, end = 0, len(data)
            while True:
                if at + FRAME_MIN > end or at + ENQUEUED.size + 12 + _PEEK.unpack_from(data, at)[2] > end:
                    position += at
                    if position >= self.size or (batches and budget <= 0):
                        break
                    data = _frame_at(file.fileno(), position, min(self.size - position, max(budget, EVERY_BYTES)))
                    at, end = 0, len(data)
                enqueued_ms, base_offset, length, last_delta = _PEEK.unpack_from(data, at)
                start, at = at + ENQUEUED.size, at + ENQUEUED.size + 12 + length
                last_offset = base_offset + last_delta
                if last_offset < min_last_offset:
                    continue
                budget -= 12 + length
                if budget < 0 and batches:
                    break
                batches.append(StoredBatch(base_offset, last_offset, enqueued_ms, data[start:at]))
        return batches


def _frame_at(fd: int, position: int, wanted: int) -> bytes:
    """At least the whole frame at `position`."""
    data = os.pread(fd, max(wanted, FRAME_MIN), position)
    size = ENQUEUED.size + 12 + _PEEK.unpack_from(data)[2]
    return data if size <= len(data) else os.pread(fd, size, position)


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
            header = header_of(data, at + ENQUEUED.size)
            frame = ENQUEUED.size + header.size
            if header.magic != 2 or header.batch_length < HEADER_SIZE - 12 or position + frame > size:
                return
            if header.base_offset < next_offset or header.last_offset_delta < 0:
                return
            if at + frame > len(data):
                data, at = os.pread(file.fileno(), max(frame, _RECOVERY_CHUNK), position), 0
            if verify and crc32c(memoryview(data)[at + ENQUEUED.size + CRC_FROM : at + frame]) != header.crc:
                return
            yield ENQUEUED.unpack_from(data, at)[0], header, frame
            next_offset = header.last_offset + 1
            position += frame
            at += frame
