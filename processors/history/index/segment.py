"""A segment of the index: for some files of a partition, the spans in which a listener has events. Pure.

A span is a few whole blocks of a file. A row is the keyed hash of a listener's id, and the number of a span; rows are
sorted by hash. The bytes of a segment are fences (the hash of every FENCE-th row), spans, and rows, so that a lookup
reads the first two once and then a few rows.
"""

from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from typing import Self

import numpy as np
import numpy.typing as npt
from msgspec import Struct

FENCE = 512
"""Rows between two fences: 6 KB are read for a listener who has few events."""

ROW = np.dtype([("hash", "<u8"), ("span", "<u4")])
SPAN = np.dtype([("file", "<u4"), ("size", "<u4"), ("at", "<u8")])
_FENCE_BYTES = 8


class IndexedSpan(Struct, frozen=True):
    """Whole blocks of the file with this number in the segment: where they begin and how many bytes they have."""

    file: int
    at: int
    size: int


class SegmentHead(Struct, frozen=True):
    """The fences and spans of a segment of `rows` rows."""

    rows: int
    fences: npt.NDArray[np.uint64]
    spans: npt.NDArray[np.void]

    @classmethod
    def read(cls, data: bytes, rows: int, spans: int) -> Self:
        """The head in the first `head_bytes(rows, spans)` bytes of a segment."""
        fences = -(-rows // FENCE)
        return cls(
            rows,
            np.frombuffer(data, "<u8", fences),
            np.frombuffer(data, SPAN, spans, fences * _FENCE_BYTES),
        )

    def rows_of(self, hashed: int) -> tuple[int, int]:
        """Offset and size in bytes of the rows among which those of a hash are; the size is 0 where there are none."""
        start = max(0, int(np.searchsorted(self.fences, np.uint64(hashed), "left")) - 1) * FENCE
        stop = min(self.rows, int(np.searchsorted(self.fences, np.uint64(hashed), "right")) * FENCE)
        at = head_bytes(self.rows, len(self.spans)) + start * ROW.itemsize
        return at, max(0, stop - start) * ROW.itemsize

    def spans_in(self, data: bytes, hashed: int) -> list[IndexedSpan]:
        """The spans of a hash, of the rows in `data`."""
        rows = np.frombuffer(data, ROW)
        numbers = rows["span"][rows["hash"] == np.uint64(hashed)]
        return [IndexedSpan(int(one["file"]), int(one["at"]), int(one["size"])) for one in self.spans[numbers]]


class SegmentRows(Struct, frozen=True):
    """The rows and spans of a segment that is being made. Rows are sorted; each is there once."""

    rows: npt.NDArray[np.void]
    spans: npt.NDArray[np.void]

    def encode(self) -> bytes:
        """The bytes of the segment."""
        return self.rows["hash"][::FENCE].astype("<u8").tobytes() + self.spans.tobytes() + self.rows.tobytes()

    @classmethod
    def decode(cls, data: bytes, rows: int, spans: int) -> Self:
        """The whole of a segment."""
        head = SegmentHead.read(data, rows, spans)
        return cls(np.frombuffer(data, ROW, rows, head_bytes(rows, spans)), head.spans)


class FileRows(Struct, frozen=True):
    """What is found in one file: its spans (offset and size), and for each span the hashes of its listeners."""

    spans: Sequence[tuple[int, int]]
    hashes: Sequence[Collection[int]]

    @property
    def count(self) -> int:
        """How many rows it makes."""
        return sum(map(len, self.hashes))


def head_bytes(rows: int, spans: int) -> int:
    """How many bytes the fences and spans take."""
    return -(-rows // FENCE) * _FENCE_BYTES + spans * SPAN.itemsize


def segment_bytes(rows: int, spans: int) -> int:
    """How many bytes the whole segment takes."""
    return head_bytes(rows, spans) + rows * ROW.itemsize


def hash_listener(user_id: str, key: bytes) -> int:
    """The hash of a listener's id under the key of an index."""
    return int.from_bytes(blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "little")


def rows_of_files(files: Sequence[FileRows]) -> SegmentRows:
    """The rows of files, which are numbered in their order."""
    spans = [(number, size, at) for number, file in enumerate(files) for at, size in file.spans]
    found = [(hashed, number) for number, hashes in enumerate(_spans(files)) for hashed in hashes]
    return SegmentRows(np.sort(np.array(found, ROW), order=("hash", "span")), np.array(spans, SPAN))


def joined(segments: Sequence[tuple[SegmentRows, Sequence[int]]]) -> SegmentRows:
    """Several segments as one, each with the new numbers of its files; what is of a file with the number -1 is left
    out."""
    rows, spans, count = [], [], 0
    for segment, numbers in segments:
        files = np.array(numbers, np.int64)[segment.spans["file"]] if len(segment.spans) else np.empty(0, np.int64)
        kept = files >= 0
        renumbered = np.cumsum(kept) - 1 + count
        moved = segment.spans[kept].copy()
        moved["file"] = files[kept]
        mine = segment.rows[kept[segment.rows["span"]]] if len(segment.rows) else segment.rows
        mine = mine.copy()
        mine["span"] = renumbered[mine["span"]]
        rows.append(mine)
        spans.append(moved)
        count += int(kept.sum())
    return SegmentRows(np.sort(np.concatenate(rows), order=("hash", "span")), np.concatenate(spans))


def _spans(files: Sequence[FileRows]) -> Iterable[Iterable[int]]:
    for file in files:
        yield from file.hashes
