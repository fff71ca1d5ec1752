"""The rows of a segment that is being made: sorted, and joined with those of others. Pure.

Apart from the reading of a segment, which needs no numpy: importing that takes longer than a lookup.
"""

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from songline.processors.history.index.segment import FENCE, FileRows, head_bytes

ROWS = np.dtype([("hash", "<u8"), ("span", "<u4")])
SPANS = np.dtype([("file", "<u4"), ("size", "<u4"), ("at", "<u8")])


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
        head = head_bytes(rows, spans)
        return cls(
            np.frombuffer(data, ROWS, rows, head),
            np.frombuffer(data, SPANS, spans, head - spans * SPANS.itemsize),
        )


def rows_of_files(files: Sequence[FileRows]) -> SegmentRows:
    """The rows of files, which are numbered in their order."""
    spans = [(number, size, at) for number, file in enumerate(files) for at, size in file.spans]
    found = [(hashed, number) for number, hashes in enumerate(_spans(files)) for hashed in hashes]
    return SegmentRows(np.sort(np.array(found, ROWS), order=("hash", "span")), np.array(spans, SPANS))


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
