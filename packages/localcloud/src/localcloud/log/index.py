"""The sparse index of one segment: where to begin reading for an offset or a time.

It lives in memory. Of a sealed segment only a part does, since there are as many as the hub keeps events; all of it
is in a file beside the segment. That file is only a shortcut: it has a checksum and the segment's size, and where these
don't fit, the index is made again from the segment's headers.
"""

from array import array
from bisect import bisect_left, bisect_right
from contextlib import suppress
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812 - struct's own exception has a function's name

from crc32c import crc32c

EVERY_BYTES = 4096
COARSE_BYTES = 32 << 10
_FILE_HEAD = Struct(
    ">8sIqqqqq"
)  # magic, CRC-32C of what follows, segment size, last offset, last enqueued, max timestamp, entries
_FILE_MAGIC = b"SLINDEX1"


class SegmentIndex:
    """Entries (base offset, position, enqueued time, greatest record timestamp before it), one every 4 KiB at most.

    A place that is found is less than `slack_bytes` before what was asked for.
    """

    def __init__(self) -> None:
        self.slack_bytes = EVERY_BYTES
        self.size = 0
        self.last_offset = -1
        self.first_enqueued_ms = -1
        self.last_enqueued_ms = -1
        self.max_timestamp = -1
        self._offsets = array("q")
        self._positions = array("q")
        self._enqueued = array("q")
        self._timestamps = array("q")

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._positions)

    def add(self, base_offset: int, last_offset: int, enqueued_ms: int, max_timestamp: int, frame_size: int) -> None:
        """One more frame stands at the end."""
        if not self._positions or self.size - self._positions[-1] >= EVERY_BYTES:
            self._offsets.append(base_offset)
            self._positions.append(self.size)
            self._enqueued.append(enqueued_ms)
            self._timestamps.append(self.max_timestamp)
        if self.last_enqueued_ms < 0:
            self.first_enqueued_ms = enqueued_ms
        self.last_enqueued_ms = enqueued_ms
        self.last_offset = last_offset
        self.max_timestamp = max(self.max_timestamp, max_timestamp)
        self.size += frame_size

    def position_of(self, offset: int) -> int:
        """A frame start at or before the frame that holds `offset`."""
        return self._entry(bisect_right(self._offsets, offset) - 1)

    def position_at(self, enqueued_ms: int) -> int:
        """A frame start at or before the first frame enqueued at `enqueued_ms` or later."""
        return self._entry(bisect_left(self._enqueued, enqueued_ms) - 1)

    def position_of_timestamp(self, timestamp: int) -> int:
        """A frame start at or before the first frame that has a record of `timestamp` or later."""
        return self._entry(bisect_left(self._timestamps, timestamp) - 1)

    def thinned(self) -> "SegmentIndex":
        """The index with one entry every 32 KiB at most, made of one with an entry every 4 KiB."""
        kept, last = array("q"), -COARSE_BYTES
        for number, position in enumerate(self._positions):
            if position - last >= COARSE_BYTES:
                kept.append(number)
                last = position
        thin = SegmentIndex()
        thin.slack_bytes = COARSE_BYTES + EVERY_BYTES
        thin.size, thin.last_offset, thin.max_timestamp = self.size, self.last_offset, self.max_timestamp
        thin.first_enqueued_ms, thin.last_enqueued_ms = self.first_enqueued_ms, self.last_enqueued_ms
        for thinned, column in zip(thin._columns(), self._columns(), strict=True):
            thinned.extend(column[number] for number in kept)
        return thin

    def _columns(self) -> "tuple[array[int], ...]":
        return self._offsets, self._positions, self._enqueued, self._timestamps

    def _entry(self, number: int) -> int:
        return self._positions[number] if number >= 0 else 0

    def save(self, path: Path) -> None:
        """Raises OSError, and leaves no file behind then."""
        body = b"".join(column.tobytes() for column in self._columns())
        entries = len(self)
        numbers = (self.size, self.last_offset, self.last_enqueued_ms, self.max_timestamp, entries)
        head = _FILE_HEAD.pack(_FILE_MAGIC, 0, *numbers)
        head = _FILE_HEAD.pack(_FILE_MAGIC, crc32c(head[12:] + body), *numbers)
        fresh = path.with_suffix(".index-new")
        try:
            fresh.write_bytes(head + body)
            fresh.replace(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path, segment_size: int) -> "SegmentIndex | None":
        """The saved index, or None when there is none or it doesn't belong to a segment of that size."""
        try:
            data = path.read_bytes()
            magic, crc, size, last_offset, last_ms, max_timestamp, entries = _FILE_HEAD.unpack_from(data)
        except (FileNotFoundError, StructError):
            return None
        body = data[_FILE_HEAD.size :]
        if magic != _FILE_MAGIC or size != segment_size or len(body) != 32 * entries or crc32c(data[12:]) != crc:
            return None
        index = cls()
        index.size, index.last_offset = size, last_offset
        index.last_enqueued_ms, index.max_timestamp = last_ms, max_timestamp
        for number, column in enumerate(index._columns()):
            column.frombytes(body[number * 8 * entries : (number + 1) * 8 * entries])
        index.first_enqueued_ms = index._enqueued[0] if entries else -1
        return index
