"""The image of a shard, made part by part while the shard goes on counting."""

from collections.abc import Iterator

from songline.processors.trending.shards.shard_image import ShardColumns, ShardImageHeader
from songline.processors.trending.shards.state import Shard


class ShardImageParts:
    """The parts of an image of `shard`, which is begun in the moment in which this is made: it covers all that the
    shard has saved by then. First come all `steps`, then the `header`, which stands in front of their parts."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._columns = ShardColumns()
        self._keys, self._records = shard.saved_keys(), shard.saved_records()
        self._songs: list[str] = []
        self._rows = 0

    @property
    def size_bytes(self) -> int:
        """The bytes of the parts so far."""
        return self._columns.size_bytes

    def steps(self) -> Iterator[list[bytes]]:
        """The parts, of each step those that it fills; between two steps the shard may count and be saved."""
        for table in self._shard.tables():
            yield list(self._columns.add_table(*table))
        for key, facts in self._shard.fact_records():
            self._records[key] = facts
            yield []
        # In this order, for a row is of a song, and a table of rows.
        songs, regions = self._shard.rows()
        self._songs, self._rows = list(self._shard.songs.names), len(songs)
        yield list(self._columns.add_rows(songs, regions))

    def header(self, key: bytes, name: str, hub_ms: int, shards: int, offset: int, made_ms: int) -> bytes:
        """The header behind the last step. The fields are those of ShardImageHeader."""
        fields = (key, name, hub_ms, shards, offset, made_ms, self._keys, self._records, self._songs, self._rows)
        return self._columns.header(ShardImageHeader(*fields, [], 0))
