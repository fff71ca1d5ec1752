"""A segment of the index: for some files of a partition, the spans in which a listener has events. Pure.

A span is a few whole blocks of a file. A row is the keyed hash of a listener's id, and the number of a span; rows are
sorted by hash. The bytes of a segment are fences (the hash of every FENCE-th row), spans, and rows, so that a lookup
reads the first two once and then a few rows.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from hashlib import blake2b
from struct import Struct as Packing
from struct import unpack_from
from typing import Self

from msgspec import Struct

FENCE = 512
"""Rows between two fences: 6 KB are read for a listener who has few events."""

ROW = Packing("<QI")
"""Of a row: the hash, and the number of the span."""
SPAN = Packing("<IIQ")
"""Of a span: the number of its file, its size, and where it begins."""
_FENCE_BYTES = 8


class IndexedSpan(Struct, frozen=True):
    """Whole blocks of the file with this number in the segment: where they begin and how many bytes they have."""

    file: int
    at: int
    size: int


class SegmentHead(Struct, frozen=True):
    """The fences of a segment of `rows` rows, and the bytes of its spans."""

    rows: int
    fences: tuple[int, ...]
    spans: bytes

    @classmethod
    def read(cls, data: bytes, rows: int, spans: int) -> Self:
        """The head in the first `head_bytes(rows, spans)` bytes of a segment."""
        fences = -(-rows // FENCE)
        at = fences * _FENCE_BYTES
        return cls(rows, unpack_from(f"<{fences}Q", data), data[at : at + spans * SPAN.size])

    def rows_of(self, hashed: int) -> tuple[int, int]:
        """Offset and size in bytes of the rows among which those of a hash are; the size is 0 where there are none."""
        start = max(0, bisect_left(self.fences, hashed) - 1) * FENCE
        stop = min(self.rows, bisect_right(self.fences, hashed) * FENCE)
        at = len(self.fences) * _FENCE_BYTES + len(self.spans) + start * ROW.size
        return at, max(0, stop - start) * ROW.size

    def spans_in(self, data: bytes, hashed: int) -> list[IndexedSpan]:
        """The spans of a hash, of the rows in `data`."""
        found = []
        for of, number in ROW.iter_unpack(data):
            if of == hashed:
                file, size, at = SPAN.unpack_from(self.spans, number * SPAN.size)
                found.append(IndexedSpan(file, at, size))
        return found


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
    return -(-rows // FENCE) * _FENCE_BYTES + spans * SPAN.size


def segment_bytes(rows: int, spans: int) -> int:
    """How many bytes the whole segment takes."""
    return head_bytes(rows, spans) + rows * ROW.size


def hash_listener(user_id: str, key: bytes) -> int:
    """The hash of a listener's id under the key of an index."""
    return int.from_bytes(blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "little")
