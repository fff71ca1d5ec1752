"""The index of a sealed hour: a file of which little is read to know of an action whether it is in the hour, and of a
song how often it was counted there.

Behind a header stand pages of rows, and behind these pages of counts. A row is an action: the first word of its song's
hash, and its identity. A count is how often a song was counted in a region. Both are sorted, and the header has the
first one of each page, so it says in which page a row or a count would be. An index is derived from blocks of the
hour's blob, which its header names. Whoever can't use it reads these.
"""

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.derived_file import BrokenFileError, decode_header, encode_header, header_size
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.sorted_columns import Column, Ints, Words
from songline.schemas.decoding import MsgpackDecoder

ROW = np.dtype([("song", "<u8"), ("identity", "<u8", (2,))])
COUNT = np.dtype([("song", "<u8", (2,)), ("region", "<u2"), ("counts", "<u4", (KINDS,))])

PAGE_ITEMS = 1_000
"""Rows or counts a page: 24 or 30 KB."""

GAP_PAGES = 8
"""Pages that are nearer to each other are read at once, with those in between: a request costs as much as they do."""

MAGIC = b"sli1"


class PageColumns(Struct, frozen=True, array_like=True):
    """Pages of `items` in columns: of each the two words by which its first item is sorted, and its CRC-32."""

    items: int
    firsts: bytes
    sums: bytes


class IndexHeader(Struct, frozen=True, array_like=True, tag=1):
    """`key`: the id of the key under which identities were made. `blocks`: the ids of the blocks that are covered,
    which are the first ones of the hour's blob and have `size_bytes`."""

    key: bytes
    blocks: list[str]
    size_bytes: int
    rows: PageColumns
    counts: PageColumns


class PageRun(Struct, frozen=True):
    """Pages that are read at once: from the first to before `end`, and where their bytes begin and end."""

    first: int
    end: int
    begin_byte: int
    end_byte: int


class PageTable:
    """Where the pages of one kind are. Raises BrokenFileError where the columns don't belong to each other."""

    def __init__(self, columns: PageColumns, begin_byte: int, item: "np.dtype[np.void]") -> None:
        pages = -(-columns.items // PAGE_ITEMS)
        if columns.items < 0 or len(columns.firsts) != 16 * pages or len(columns.sums) != 4 * pages:
            raise BrokenFileError(
                f"{columns.items} items, columns of {len(columns.firsts)} and {len(columns.sums)} bytes of their pages"
            )
        self._firsts = np.frombuffer(columns.firsts, "<u8").reshape(-1, 2)
        self._sums = np.frombuffer(columns.sums, "<u4")
        self._item = item
        self._begin_byte = begin_byte
        self.end_byte = begin_byte + columns.items * item.itemsize

    def runs(self, wanted: Words) -> list[PageRun]:
        """What to read for items that are sorted by these words, shape (n, 2)."""
        runs: list[list[int]] = []
        for page in sorted(self._pages(wanted)):
            if runs and page - runs[-1][-1] <= GAP_PAGES:
                runs[-1][-1] = page
            else:
                runs.append([page, page])
        page_bytes = PAGE_ITEMS * self._item.itemsize
        begin, last = self._begin_byte, self.end_byte
        return [
            PageRun(one, end + 1, begin + one * page_bytes, min(begin + (end + 1) * page_bytes, last))
            for one, end in runs
        ]

    def items(self, run: PageRun, data: bytes) -> Column:
        """The items of a run that was read. Raises BrokenFileError."""
        page_bytes = PAGE_ITEMS * self._item.itemsize
        if len(data) != run.end_byte - run.begin_byte:
            raise BrokenFileError(f"{len(data)} bytes at {run.begin_byte}, expected {run.end_byte - run.begin_byte}")
        for page, begin in zip(range(run.first, run.end), range(0, len(data), page_bytes), strict=True):
            checksum, expected = zlib.crc32(data[begin : begin + page_bytes]), int(self._sums[page])
            if checksum != expected:
                raise BrokenFileError(
                    f"the checksum of the page at {run.begin_byte + begin} is {checksum:#x}, expected {expected:#x}"
                )
        return np.frombuffer(data, self._item)

    def _pages(self, wanted: Words) -> set[int]:
        """The pages in which items with these words may be: the last one that begins before them, and those that begin
        with them."""
        before, through = (_firsts_before(self._firsts, wanted, or_equal=one) for one in (False, True))
        spans = np.unique(np.stack([np.maximum(before - 1, 0), through], axis=1), axis=0)
        return {page for begin, end in spans.tolist() for page in range(begin, end)}


class HourIndex:
    """An index whose header was read. `etag` is that of the file, which says whether its pages are still the same."""

    def __init__(self, header: IndexHeader, begin_byte: int, etag: str) -> None:
        self.etag = etag
        self.key = header.key
        self.blocks = header.blocks
        self.size_bytes = header.size_bytes
        self.rows = PageTable(header.rows, begin_byte, ROW)
        self.counts = PageTable(header.counts, self.rows.end_byte, COUNT)


def encode_index_header(header: IndexHeader) -> bytes:
    """The bytes with which the file begins."""
    return encode_header(MAGIC, header)


def index_header_size(begin: bytes) -> int:
    """How many bytes the header has, by the first ones of the file. Raises BrokenFileError."""
    return header_size(MAGIC, begin)


def decode_index(begin: bytes, etag: str = "") -> HourIndex:
    """The index that begins with these bytes. Raises BrokenFileError."""
    return HourIndex(decode_header(MAGIC, begin, _decoder), index_header_size(begin), etag)


def _firsts_before(firsts: Words, wanted: Words, *, or_equal: bool) -> Ints:
    """How many of `firsts` are less than each of the words that are wanted, or equal to them."""
    words, is_first = np.concatenate([firsts, wanted]), np.arange(len(firsts) + len(wanted)) < len(firsts)
    order = np.lexsort((is_first != or_equal, words[:, 1], words[:, 0]))
    found = np.empty(len(words), np.int64)
    found[order] = np.cumsum(is_first[order])
    return found[len(firsts) :]


class PageWriter:
    """Pages of items that come sorted, some at a time."""

    def __init__(self) -> None:
        self._left: list[Column] = []
        self._firsts: list[Words] = []
        self._sums: list[int] = []
        self._items = 0

    def add(self, items: Column) -> bytes:
        """The pages that are full by now."""
        left = np.concatenate([*self._left, items])
        full = len(left) // PAGE_ITEMS * PAGE_ITEMS
        self._left = [left[full:].copy()]
        return self._pages(left[:full])

    def end(self) -> bytes:
        """The last page."""
        left, self._left = self._left, []
        return b"".join(self._pages(one) for one in left)

    def columns(self) -> PageColumns:
        """What the header says of all pages."""
        firsts = np.concatenate(self._firsts) if self._firsts else np.zeros((0, 2), np.uint64)
        return PageColumns(self._items, firsts.astype("<u8").tobytes(), np.array(self._sums, "<u4").tobytes())

    def _pages(self, items: Column) -> bytes:
        for page in _split(items):
            self._firsts.append(sort_words(page[:1]))
            self._sums.append(zlib.crc32(page.tobytes()))
        self._items += len(items)
        return items.tobytes()


def sort_words(items: Column) -> Words:
    """The words by which rows or counts are sorted, shape (n, 2)."""
    if items.dtype == COUNT:
        return items["song"].astype(np.uint64)
    return np.stack([items["song"], items["identity"][:, 0]], axis=1).astype(np.uint64)


def joined(parts: Iterable[Column], item: "np.dtype[np.void]") -> Column:
    """The items of all parts."""
    return np.concatenate([np.zeros(0, item), *parts])


def _split(items: Column) -> Iterator[Column]:
    for begin in range(0, len(items), PAGE_ITEMS):
        yield items[begin : begin + PAGE_ITEMS]


_decoder = MsgpackDecoder(IndexHeader)
