"""The tables of a shard while it is restored: by its image, then by what was saved since, or by all that was saved."""

from collections.abc import Iterator, Mapping, Set

import numpy as np

from songline.processors.trending.count_table import KINDS
from songline.processors.trending.plays.state import SongDays
from songline.processors.trending.shards.counts import BucketKey, ShardCounts, TableRows
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.shards.saved_tables import merged_tables
from songline.processors.trending.shards.shard_image import ShardImage
from songline.processors.trending.song_index import SongIndex


class RestoredTables:
    """Counts what was saved in `counts` and `days`. What it yields differs from before, and is for the windows."""

    def __init__(self, songs: SongIndex, rows: RowIndex, counts: ShardCounts, days: SongDays) -> None:
        self._songs = songs
        self._rows = rows
        self._counts = counts
        self._days = days
        self._filled: set[BucketKey] = set()
        """The image's tables, so far as they were not over when they were counted."""

    def fill(self, image: ShardImage) -> Iterator[TableRows]:
        """Count the tables of the image, which has them no more then."""
        for key in list(image.tables):
            rows, counts = image.tables.pop(key)
            if not self._counts.is_over(key.unit, key.bucket):
                self._filled.add(key)
                yield self._counted(self._counts.restore(TableRows(key, rows.astype(np.int64), counts)))

    def restore(self, saved: Mapping[BucketKey, list[bytes]], imaged: Set[BucketKey]) -> Iterator[TableRows]:
        """Count what was saved of tables. The image's rows of those in `imaged` hold, and the greater count does; those
        of others are replaced: mostly by as much or more, and by nothing where all that was saved is deleted."""
        replaced, self._filled = self._filled - imaged, set()
        for table in merged_tables(saved, self._songs, self._rows):
            if table.key in replaced:
                replaced.discard(table.key)
                yield self._counted(self._counts.replace(table))
            else:
                yield self._counted(self._counts.restore(table))
        for key in replaced:
            if not self._counts.is_over(key.unit, key.bucket):
                nothing = TableRows(key, np.zeros(0, np.int64), np.zeros((0, KINDS), np.int64))
                yield self._counted(self._counts.replace(nothing))

    def _counted(self, table: TableRows) -> TableRows:
        """The table, once songs' days count it."""
        if table.key.unit == "hour" and len(table.rows):
            self._days.restore(table.key.bucket, self._rows.songs(table.rows), table.counts)
        return table
