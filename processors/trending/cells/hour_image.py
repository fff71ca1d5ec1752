"""The image of an open hour: a file of the columns that the hour's cell has in memory.

To load an hour by its blocks is to sort and to count its actions. An image has them sorted and counted, so to load it
is to read it. It has all that the first blocks of the hour's blob have, which its header names, and maybe more of what
is saved. Behind the header stand the columns of all runs, one after the other.
"""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.action_codes import KIND_BITS, SONG_SHIFT
from songline.processors.trending.cells.derived_file import BrokenFileError, decode_header, encode_header
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.state import CellColumns
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.song_index import Ints
from songline.processors.trending.sorted_columns import BLOCK, Column, Columns
from songline.schemas.decoding import MsgpackDecoder

MAGIC = b"slm1"

PART_BYTES = 2_000_000
"""An image is written in parts of so many bytes: that little is in memory beside the hour."""

_SONG_SHIFT = SONG_SHIFT - KIND_BITS
_KEY_TYPES = {4: "<u4", 8: "<u8"}
_COUNT_TYPES = {1: "u1", 2: "<u2", 4: "<i4"}


class RunSize(Struct, frozen=True, array_like=True):
    """The rows of a run, and the bytes of a number in each of its two columns."""

    rows: int
    key_bytes: int
    value_bytes: int


class ImageHeader(Struct, frozen=True, array_like=True, tag=1):
    """`key`: the id of the key under which identities were made. `blocks`: the ids of the blocks that are covered,
    which are the first ones of the hour's blob and have `size_bytes`. `numbers` (uint32, which rise): what stands for
    each of `songs` in the columns. `checksum`: the CRC-32 of all columns."""

    key: bytes
    blocks: list[str]
    size_bytes: int
    numbers: bytes
    songs: list[str]
    identities: list[RunSize]
    minutes: list[RunSize]
    checksum: int


class ImageWriter:
    """Makes an image of a cell's columns; `names` are those of songs, by number."""

    def __init__(self, columns: CellColumns, names: Sequence[str]) -> None:
        self._columns = columns
        self._names = names
        self._checksum = 0

    def parts(self) -> Iterator[bytes]:
        """The bytes of the columns, PART_BYTES at a time and a little more."""
        waiting, size_bytes = list[bytes](), 0
        for column in (one for run in (*self._columns.identities, *self._columns.minutes) for one in run):
            rows = max(1, PART_BYTES // (column.nbytes // len(column)))
            for begin in range(0, len(column), rows):
                waiting.append(column[begin : begin + rows].tobytes())
                size_bytes += len(waiting[-1])
                if size_bytes >= PART_BYTES:
                    yield self._part(waiting)
                    waiting, size_bytes = [], 0
        if waiting:
            yield self._part(waiting)

    def header(self, key: IdentityKey, blocks: list[str], size_bytes: int) -> bytes:
        """The header, once all parts are made, of an image that covers these blocks."""
        numbers = _songs(keys for keys, _ in self._columns.minutes)
        return encode_header(
            MAGIC,
            ImageHeader(
                key.id,
                blocks,
                size_bytes,
                numbers.astype("<u4").tobytes(),
                [self._names[number] for number in numbers.tolist()],
                [_run_size(run) for run in self._columns.identities],
                [_run_size(run) for run in self._columns.minutes],
                self._checksum,
            ),
        )

    def _part(self, pieces: list[bytes]) -> bytes:
        part = b"".join(pieces)
        self._checksum = zlib.crc32(part, self._checksum)
        return part


class ImageReader:
    """Takes the bytes of the columns that `header` names, of which there are `size_bytes`. Raises BrokenFileError where
    these are other ones than the header says."""

    def __init__(self, header: ImageHeader, size_bytes: int) -> None:
        try:
            sizes = [(one, _KEY_TYPES[one.key_bytes], _KEY_TYPES[one.value_bytes], 1) for one in header.identities]
            sizes += [(one, _KEY_TYPES[one.key_bytes], _COUNT_TYPES[one.value_bytes], KINDS) for one in header.minutes]
        except KeyError as why:
            raise BrokenFileError(f"a column has numbers of {why.args[0]} bytes") from why
        expected = sum(one.rows * (one.key_bytes + one.value_bytes * width) for one, _, _, width in sizes)
        if expected != size_bytes or any(one.rows < 1 for one, *_ in sizes):
            raise BrokenFileError(f"{size_bytes} bytes of columns, expected {expected}")
        self._header = header
        self._runs: list[Columns] = [
            (np.empty(one.rows, key), np.empty((one.rows, width) if width > 1 else one.rows, value))
            for one, key, value, width in sizes
        ]
        self._left = [column for run in self._runs for column in run]
        self._filled = self._checksum = 0

    def add(self, data: bytes) -> None:
        """Take the bytes behind those before."""
        self._checksum = zlib.crc32(data, self._checksum)
        piece, at = np.frombuffer(data, np.uint8), 0
        while at < len(piece):
            if not self._left:
                raise BrokenFileError(f"{len(piece) - at} bytes are behind its columns")
            column = self._left[0].reshape(-1).view(np.uint8)
            size = min(len(column) - self._filled, len(piece) - at)
            column[self._filled : self._filled + size] = piece[at : at + size]
            self._filled, at = self._filled + size, at + size
            if self._filled == len(column):
                del self._left[0]
                self._filled = 0

    def columns(self, numbers: Ints) -> CellColumns:
        """The columns, with `numbers` in the place of those that stand for the header's songs. They are given away."""
        runs, self._runs = self._runs, []
        if self._left or self._checksum != self._header.checksum:
            raise BrokenFileError(
                f"the checksum of its columns is {self._checksum:#x}, expected {self._header.checksum:#x}"
            )
        count = len(self._header.identities)
        identities, minutes = runs[:count], runs[count:]
        saved = np.frombuffer(self._header.numbers, "<u4").astype(np.int64)
        if not _rises(saved) or not all(_rises(keys) for keys, _ in minutes):
            raise BrokenFileError("its columns are not sorted")
        if len(saved) != len(numbers) or len(np.unique(numbers)) != len(numbers):
            raise BrokenFileError(f"{len(saved)} numbers of songs, expected {len(numbers)}, each of another one")
        known, counted = (
            sum(len(keys) for keys, _ in identities),
            sum(int(one.sum(dtype=np.int64)) for _, one in minutes),
        )
        if known != counted:
            raise BrokenFileError(f"{counted} actions are counted, expected {known}")
        return CellColumns(identities, [_renumbered(run, saved, numbers) for run in minutes])


def decode_image_header(begin: bytes) -> ImageHeader:
    """The header of an image that begins with these bytes. Raises BrokenFileError."""
    return decode_header(MAGIC, begin, _decoder)


def _run_size(run: Columns) -> RunSize:
    keys, values = run
    return RunSize(len(keys), keys.itemsize, values.itemsize)


def _songs(columns: Iterator[Column]) -> Ints:
    """The numbers of the songs in columns of counted minutes, each once."""
    found = [np.zeros(0, np.int64)]
    for keys in columns:
        # By blocks, since a copy of a whole column is much memory.
        found += [_distinct(keys[begin : begin + BLOCK] >> _SONG_SHIFT) for begin in range(0, len(keys), BLOCK)]
    return np.unique(np.concatenate(found))


def _distinct(rising: Column) -> Ints:
    return rising[_starts(rising)].astype(np.int64)


def _starts(rising: Column) -> Ints:
    """Where another number begins, in numbers that rise."""
    return np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))


def _rises(column: Column) -> bool:
    return bool((column[1:] > column[:-1]).all())


def _renumbered(run: Columns, saved: Ints, numbers: Ints) -> Columns:
    """Counts of minutes, with `numbers` in the place of the songs' numbers `saved`, sorted again."""
    keys, counts = run
    songs = keys >> _SONG_SHIFT
    starts = _starts(songs)
    there = songs[starts].astype(np.int64)
    at = np.minimum(np.searchsorted(saved, there), len(saved) - 1)
    if not len(saved) or (saved[at] != there).any():
        raise BrokenFileError("it counts songs that it does not name")
    # The rows of a song stand behind each other, and stay so.
    order = np.argsort(numbers[at])
    lengths = np.diff(starts, append=len(keys))[order]
    rows = np.arange(len(keys)) + np.repeat(starts[order] - (np.cumsum(lengths) - lengths), lengths)
    low = keys[rows].astype(np.uint64) & np.uint64((1 << _SONG_SHIFT) - 1)
    return np.repeat(numbers[at][order].astype(np.uint64) << np.uint64(_SONG_SHIFT), lengths) | low, counts[rows]


_decoder = MsgpackDecoder(ImageHeader)
