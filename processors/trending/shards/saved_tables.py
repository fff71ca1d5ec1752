"""The tables of a shard as they were saved, read many records at once: most of them have a few rows only.

A table is saved in pieces and in rows that have changed since (`counts.py`). What is saved of it is merged by the
greater count.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from songline.processors.trending.cells.wire import CountSection, join_sections
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.shards.counts import BucketKey, TableRows
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.song_index import Ints, SongIndex
from songline.processors.trending.sorted_columns import NARROW, Column, widened
from songline.schemas.decoding import MsgpackDecoder

GROUP_BYTES = 2_000_000
"""Tables of so many saved bytes are merged at once, some 90,000 rows: a hundred bytes each meanwhile."""


def merged_tables(saved: Mapping[BucketKey, list[bytes]], songs: SongIndex, rows: RowIndex) -> Iterator[TableRows]:
    """The tables of which something was saved, by the numbers that songs have in `songs`, and their rows in `rows`:
    each row once, in their order, with the greatest of its counts. What was saved is of the bucket that its key
    says."""
    group: dict[BucketKey, list[bytes]] = {}
    size_bytes = 0
    for key, values in saved.items():
        group[key] = values
        size_bytes += sum(map(len, values))
        if size_bytes >= GROUP_BYTES:
            yield from _merged(group, songs, rows)
            group, size_bytes = {}, 0
    yield from _merged(group, songs, rows)


def _merged(group: Mapping[BucketKey, list[bytes]], songs: SongIndex, rows: RowIndex) -> Iterator[TableRows]:
    sections: list[CountSection] = [decode_section(value) for values in group.values() for value in values]
    columns = join_sections(sections)
    if not len(columns.song):
        return
    # Most tables have the same pairs, which are looked up once.
    pairs, places = np.unique(columns.pairs(songs), return_inverse=True)
    numbers = rows.of(pairs)[places].astype(np.int32)
    counts = columns.counts.astype(widened(NARROW, columns.counts).dtype)
    slots = np.zeros(len(rows), np.int32)
    ends = np.cumsum(np.add.reduceat(columns.rows, np.cumsum([0, *map(len, group.values())])[:-1])).tolist()
    for key, begin, end in zip(group, [0, *ends], ends, strict=False):
        if begin < end:
            yield TableRows(key, *_greatest(numbers[begin:end], counts[begin:end], slots))


def _greatest(numbers: Column, counts: Column, slots: Column) -> tuple[Ints, Column]:
    """The distinct numbers, in their order, and the greatest counts of each. `slots` has room for each number."""
    # numpy's own has them out of a hash table, which takes several times as long as to sort them.
    ordered = np.sort(numbers)
    distinct = ordered[np.flatnonzero(np.diff(ordered, prepend=-1))]
    slots[distinct] = np.arange(len(distinct), dtype=slots.dtype)
    at = slots[numbers]
    greatest = np.zeros((len(distinct), KINDS), counts.dtype)
    if len(distinct) == len(at):
        greatest[at] = counts
    else:
        # A column at a time: numpy takes ten times as long in two dimensions.
        for kind in range(KINDS):
            np.maximum.at(greatest[:, kind], at, counts[:, kind])
    return distinct.astype(np.int64), greatest


decode_section = MsgpackDecoder(CountSection).decode
