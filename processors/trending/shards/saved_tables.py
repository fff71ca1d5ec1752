"""The tables of a shard as they were saved, read many records at once: most of them have a few rows only.

A table is saved in pieces and in rows that have changed since (`counts.py`). What is saved of it is merged by the
greater count.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from songline.processors.trending.cells.wire import CountSection, join_sections
from songline.processors.trending.shards.counts import BucketKey
from songline.processors.trending.song_index import Ints, SongIndex
from songline.processors.trending.sorted_columns import Column
from songline.schemas.decoding import MsgpackDecoder

GROUP_BYTES = 2_000_000
"""Tables of so many saved bytes are merged at once, some 90,000 rows: a hundred bytes each meanwhile."""

PAIR_BITS = 42
"""A pair is a song's number in 32 bits, and a region in 10."""


class SavedTable(NamedTuple):
    """What was saved of a table: each pair once, in their order, with the greatest of its counts."""

    key: BucketKey
    pairs: Ints
    counts: Column


def merged_tables(saved: Mapping[BucketKey, list[bytes]], songs: SongIndex) -> Iterator[SavedTable]:
    """The tables of which something was saved, by the numbers that songs have in `songs`. Rows are of the bucket that
    their key says."""
    group: dict[BucketKey, list[bytes]] = {}
    size_bytes = 0
    for key, values in saved.items():
        group[key] = values
        size_bytes += sum(map(len, values))
        if size_bytes >= GROUP_BYTES:
            yield from _merged(group, songs)
            group, size_bytes = {}, 0
    yield from _merged(group, songs)


def _merged(group: Mapping[BucketKey, list[bytes]], songs: SongIndex) -> Iterator[SavedTable]:
    sections: list[CountSection] = [decode_section(value) for values in group.values() for value in values]
    columns = join_sections(sections)
    if not len(columns.song):
        return
    tables = np.repeat(np.arange(len(group)), [len(values) for values in group.values()])
    keys = np.repeat(tables, columns.rows) << PAIR_BITS | columns.pairs(songs)
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    distinct, counts = keys[starts], np.maximum.reduceat(columns.counts[order], starts)
    ends = np.searchsorted(distinct, np.arange(1, len(group) + 1) << PAIR_BITS).tolist()
    for key, begin, end in zip(group, [0, *ends], ends, strict=False):
        yield SavedTable(key, distinct[begin:end] & (1 << PAIR_BITS) - 1, counts[begin:end])


decode_section = MsgpackDecoder(CountSection).decode
