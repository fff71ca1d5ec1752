"""The pages of an hour's index, made of its blocks.

Actions are shared out by their songs' hashes as the blocks come, and sorted a part at a time. So what is needed at once
is 24 bytes for each action, and twice as much for those of a part: less than the hour has taken while it was open.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.action_codes import KIND_BITS, LOW_BITS, SONG_SHIFT
from songline.processors.trending.cells.chunks import Actions, ChunkColumns, SavedChunk, chunk_actions, join_actions
from songline.processors.trending.cells.hour_index import COUNT, ROW, IndexHeader, PageWriter, encode_index_header
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.loaded_actions import ROW_BYTES
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.song_index import REGION_BITS, SongIndex
from songline.processors.trending.sorted_columns import Column, HashSet

PART_ROWS = 250_000


class IndexPages(Struct, frozen=True):
    """Bytes of pages that are done: `rows` go behind those before them, and so do `counts`."""

    rows: bytes
    counts: bytes


class IndexBuilder:
    """Takes the chunks of an hour's first blocks, of `size_bytes` in all, and makes the hour's index of them."""

    def __init__(self, size_bytes: int, key: IdentityKey) -> None:
        self._key = key
        self._size_bytes = size_bytes
        # An index of its own, since that of the worker is not to be changed by a thread.
        self._songs = SongIndex()
        self._bits = (size_bytes // (PART_ROWS * ROW_BYTES)).bit_length()
        self._parts: list[list[Actions]] = [[] for _ in range(1 << self._bits)]
        self._rows, self._counts = PageWriter(), PageWriter()

    def add(self, chunks: Iterable[SavedChunk | ChunkColumns]) -> None:
        """Take chunks that were checked."""
        parts = [chunk_actions(chunk, self._songs, self._key) for chunk in chunks]
        if not parts:
            return
        actions = join_actions(parts)
        words = self._songs.hashes.of(actions.codes >> SONG_SHIFT)[:, 0]
        # A shift by all 64 bits is none.
        part = words >> np.uint64(64 - self._bits) if self._bits else np.zeros(len(words), np.uint64)
        for number in np.unique(part).tolist():
            at = np.flatnonzero(part == number)
            self._parts[number].append(Actions(actions.identities[at], actions.codes[at]))

    def pages(self) -> Iterator[IndexPages]:
        """All pages, some at a time. What was taken is dropped meanwhile."""
        while self._parts:
            part = self._parts.pop(0)
            if part:
                actions = _distinct(join_actions(part))
                del part
                yield IndexPages(self._rows.add(self._sorted_rows(actions)), self._counts.add(self._summed(actions)))
        yield IndexPages(self._rows.end(), self._counts.end())

    def header(self, blocks: list[str]) -> bytes:
        """The header, once all pages are made. `blocks` are the ids of the blocks that were taken."""
        columns = self._rows.columns(), self._counts.columns()
        return encode_index_header(IndexHeader(self._key.id, blocks, self._size_bytes, *columns))

    def _sorted_rows(self, actions: Actions) -> Column:
        rows = np.empty(len(actions), ROW)
        rows["song"] = self._songs.hashes.of(actions.codes >> SONG_SHIFT)[:, 0]
        rows["identity"] = actions.identities
        return rows[np.lexsort((actions.identities[:, 0], rows["song"]))]

    def _summed(self, actions: Actions) -> Column:
        pairs, place = np.unique(actions.codes >> LOW_BITS, return_inverse=True)
        kinds = actions.codes & (1 << KIND_BITS) - 1
        counts = np.empty(len(pairs), COUNT)
        counts["song"] = self._songs.hashes.of(pairs >> REGION_BITS)
        counts["region"] = pairs & (1 << REGION_BITS) - 1
        counts["counts"] = np.bincount(place * KINDS + kinds, minlength=len(pairs) * KINDS).reshape(-1, KINDS)
        return counts[np.lexsort((counts["song"][:, 1], counts["song"][:, 0]))]


def _distinct(actions: Actions) -> Actions:
    new = HashSet().add(actions.identities)
    return actions if new.all() else Actions(actions.identities[new], actions.codes[new])
