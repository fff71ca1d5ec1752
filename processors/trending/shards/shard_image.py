"""The image of a shard: a file of the tables that the shard has in memory, and of all else that is saved of it.

It is derived from the shard's changelog: it has all that was saved up to an offset, and maybe more of what is saved. So
whoever has it reads the changelog from there on only. Behind the header stand columns, one after the other: song and
region of each row, and then of each table its rows, which rise, and their counts.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct, structs

from songline.processors.trending.cells.derived_file import (
    FRAME,
    BrokenFileError,
    decode_header,
    encode_header,
    header_size,
)
from songline.processors.trending.cells.validation import MAX_REGION
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.shards.counts import BucketKey
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.song_index import SongIndex
from songline.processors.trending.sorted_columns import Column
from songline.processors.trending.spans import Unit
from songline.schemas.decoding import MsgpackDecoder

MAGIC = b"sls1"

PART_BYTES = 2_000_000
"""An image is written in parts of so many bytes: that little is in memory beside the shard."""

IN_IMAGE = b""
"""Stands for the value of a record whose rows are in the image. No record has no bytes."""

_FACTS = "image/facts"

_COUNT_TYPES = {1: "u1", 2: "<u2", 4: "<i4"}


class TableSize(Struct, frozen=True, array_like=True):
    """A table, how many rows it has, and the bytes of a count."""

    unit: Unit
    bucket: int
    source: int
    rows: int
    count_bytes: int


class ShardImageHeader(Struct, frozen=True, array_like=True, tag=1):
    """Which changelog is covered, and how far.

    `key`: the id of the key under which uploaders are known. `name`: that of the blob, which says of which shard and
    version the image is. `hub_ms`: when the changelog's hub was created; `shards`: among how many songs were shared
    out; `offset`: that of the last record that is covered; `made_ms`: when the image was begun. `keys`: under which the
    tables are saved. `records`: what is saved beside them, by key. `songs`: those that the rows' songs point into;
    `rows`: how many there are. `checksum`: the CRC-32 of all columns.
    """

    key: bytes
    name: str
    hub_ms: int
    shards: int
    offset: int
    made_ms: int
    keys: list[str]
    records: dict[str, bytes]
    songs: list[str]
    rows: int
    tables: list[TableSize]
    checksum: int


class ImageTable(NamedTuple):
    """The rows of a table, which rise, and their counts."""

    rows: Column
    counts: Column


class ShardImage(NamedTuple):
    """An image that was read. It is for one shard, which goes on with its songs and rows."""

    header: ShardImageHeader
    songs: SongIndex
    rows: RowIndex
    tables: dict[BucketKey, ImageTable]
    size_bytes: int

    @property
    def records(self) -> dict[str, bytes]:
        """What is saved of the shard up to the offset, by key: IN_IMAGE of what is in `tables`. What was saved since
        replaces or deletes it."""
        saved = {key: value for key, value in self.header.records.items() if not _is_facts(key)}
        return {**dict.fromkeys(self.header.keys, IN_IMAGE), **saved}

    @property
    def facts(self) -> dict[str, bytes]:
        """All facts, in pieces by keys of the image's own: what was saved since is learned beside them."""
        return {key: value for key, value in self.header.records.items() if _is_facts(key)}


class ShardColumns:
    """Makes the columns of an image. Those of the rows come last: the shard gets more rows while tables are written."""

    def __init__(self) -> None:
        self._tables: list[TableSize] = []
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._checksum = 0
        self.size_bytes = 0

    def add_table(self, key: BucketKey, rows: Column, counts: Column) -> Iterator[bytes]:
        """Add a table; the parts that are full."""
        self._tables.append(TableSize(*key, len(rows), counts.itemsize))
        yield from self._add(rows.astype("<u4"), counts)

    def add_rows(self, songs: Column, regions: Column) -> Iterator[bytes]:
        """Add the rows, once all tables are there; all parts that are left."""
        yield from self._add(songs.astype("<i4"), regions.astype("<u2"))
        if self._waiting:
            yield self._part()

    def header(self, head: ShardImageHeader) -> bytes:
        """The header, with what is to be known of the columns."""
        return encode_header(MAGIC, structs.replace(head, tables=self._tables, checksum=self._checksum))

    def _add(self, *columns: Column) -> Iterator[bytes]:
        for column in columns:
            self._waiting.append(column.tobytes())
            self._waiting_bytes += len(self._waiting[-1])
        if self._waiting_bytes >= PART_BYTES:
            yield self._part()

    def _part(self) -> bytes:
        part = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._checksum = zlib.crc32(part, self._checksum)
        self.size_bytes += len(part)
        return part


def decode_shard_header(begin: bytes) -> ShardImageHeader:
    """The header of an image that begins with these bytes. Raises BrokenFileError."""
    return decode_header(MAGIC, begin, _decoder)


def check_size(header: ShardImageHeader, columns_bytes: int) -> None:
    """Raise BrokenFileError unless the columns have as many bytes as the header says."""
    if wrong := {one.count_bytes for one in header.tables} - _COUNT_TYPES.keys():
        raise BrokenFileError(f"a column has numbers of {min(wrong)} bytes")
    expected = 6 * header.rows + sum(one.rows * (4 + KINDS * one.count_bytes) for one in header.tables)
    if expected != columns_bytes or min([header.rows, *(one.rows for one in header.tables)]) < 0:
        raise BrokenFileError(f"{columns_bytes} bytes of columns, expected {expected}")


def decode_shard_image(data: bytes | bytearray, header: ShardImageHeader | None = None) -> ShardImage:
    """The image of these bytes, whose `header` may be known. Raises BrokenFileError."""
    size = header_size(MAGIC, bytes(data[: FRAME.size]))
    header = header or decode_shard_header(bytes(data[:size]))
    check_size(header, len(data) - size)
    if (found := zlib.crc32(memoryview(data)[size:])) != header.checksum:
        raise BrokenFileError(f"the checksum of its columns is {found:#x}, expected {header.checksum:#x}")
    tables: dict[BucketKey, ImageTable] = {}
    for one in header.tables:
        rows = np.frombuffer(data, "<u4", one.rows, size)
        counts_type = _COUNT_TYPES[one.count_bytes]
        counts = np.frombuffer(data, counts_type, KINDS * one.rows, size + rows.nbytes).reshape(-1, KINDS)
        size += rows.nbytes + counts.nbytes
        if one.rows and (not (rows[1:] > rows[:-1]).all() or rows[-1] >= header.rows):
            raise BrokenFileError("the rows of a table do not rise, or are none of its rows")
        tables[BucketKey(one.unit, one.bucket, one.source)] = ImageTable(rows, counts)
    songs = np.frombuffer(data, "<i4", header.rows, size)
    regions = np.frombuffer(data, "<u2", header.rows, size + songs.nbytes)
    if header.rows and regions.max() > MAX_REGION:
        raise BrokenFileError(f"it has rows of region {regions.max()}, expected {MAX_REGION} at most")
    return ShardImage(header, *_indexes(header.songs, songs, regions), tables, len(data))


def facts_key(number: int, piece: int) -> str:
    """Under which an image of a shard has a piece of its facts. No owner of the shard is called so."""
    return f"{number}/{_FACTS}/{piece}"


def _is_facts(key: str) -> bool:
    return key.partition("/")[2].startswith(f"{_FACTS}/")


def _indexes(names: Sequence[str], songs: Column, regions: Column) -> tuple[SongIndex, RowIndex]:
    index = SongIndex()
    try:
        numbers = index.numbers(list(names))
    except ValueError as why:
        raise BrokenFileError(f"it names a song that is none: {why}") from why
    if len(index) != len(numbers) or (len(songs) and (songs.min() < 0 or songs.max() >= len(index))):
        raise BrokenFileError("it names a song twice, or has rows of a song that it does not name")
    try:
        return index, RowIndex.filled(songs.astype(np.int64), regions.astype(np.int64))
    except ValueError as why:
        raise BrokenFileError(str(why)) from why


_decoder = MsgpackDecoder(ShardImageHeader)
