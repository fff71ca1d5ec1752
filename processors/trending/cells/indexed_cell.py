"""A cell of an hour that was over long ago: its index answers for what it had, and only what events ask for is held."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from songline.processors.trending.cells.action_codes import SONG_SHIFT
from songline.processors.trending.cells.chunks import Actions, join_actions
from songline.processors.trending.cells.hour_index import COUNT, ROW, HourIndex, PageRun, joined
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.state import Cell
from songline.processors.trending.cells.wire import CountRows
from songline.processors.trending.song_index import REGION_BITS, Ints, SongIndex
from songline.processors.trending.sorted_columns import Column, HashSet, Words


class IndexQuestion(NamedTuple):
    """What a cell has to know before its next flush: the counts of `songs`, by their numbers and hashes, and which of
    `actions` are in the index. Those from `saved` on are in no block that it covers, and are not counted yet."""

    songs: Ints
    hashes: Words
    actions: Actions
    row_words: Words
    saved: int


class IndexedCell(Cell):
    """A cell that counts a song once an event names it.

    No window shows the hour's minutes any more, so a flush has none. What is saved and not covered by the index is held
    aside until its song is asked for: some of it may be in the index as well, as owners may save the same.
    """

    def __init__(self, hour: int, songs: SongIndex, key: IdentityKey, pieces: Iterator[int], index: HourIndex) -> None:
        super().__init__(hour, songs, key, pieces)
        self.index = index
        self._aside = Actions(np.zeros((0, 2), np.uint64), np.zeros(0, np.int64))
        self._asked: set[int] = set()

    @property
    def rows(self) -> int:
        return super().rows + len(self._aside)

    def count_saved(self, parts: list[Actions]) -> None:
        """Hold saved actions that the index does not cover, and empty the list."""
        self._aside = join_actions([self._aside, *parts])
        parts.clear()

    def question(self, waiting: list[Actions]) -> IndexQuestion:
        """What has to be known before these actions, with their hashes, are flushed."""
        fresh = join_actions(waiting)
        fresh = Actions(self._key.identities(fresh.identities), fresh.codes)
        songs = np.array(sorted(set((fresh.codes >> SONG_SHIFT).tolist()) - self._asked), np.int64)
        unknown = ~self._known.contains(fresh.identities)
        fresh = Actions(fresh.identities[unknown], fresh.codes[unknown])
        saved = self._saved_of(songs)
        actions = join_actions([fresh, saved])
        words = self.songs.hashes.of(actions.codes >> SONG_SHIFT)[:, 0]
        row_words = np.stack([words, actions.identities[:, 0]], axis=1)
        return IndexQuestion(songs, self.songs.hashes.of(songs), actions, row_words, len(fresh))

    def runs(self, question: IndexQuestion) -> tuple[list[PageRun], list[PageRun]]:
        """The pages to read for a question: of rows, and of counts."""
        return self.index.rows.runs(question.row_words), self.index.counts.runs(question.hashes)

    def answer(self, question: IndexQuestion, rows: list[bytes], counts: list[bytes]) -> None:
        """Take what was read of the pages to read. Raises BrokenFileError, and has changed nothing then."""
        row_runs, count_runs = self.runs(question)
        pages = [self.index.rows.items(*one) for one in zip(row_runs, rows, strict=True)]
        found = joined([self.index.counts.items(*one) for one in zip(count_runs, counts, strict=True)], COUNT)
        indexed = HashSet()
        indexed.add(joined(pages, ROW)["identity"])
        is_indexed = indexed.contains(question.actions.identities)
        # They are counted already, in the counts of the index.
        self._known.add(question.actions.identities[is_indexed])
        self._add_counts(question, found)
        self._asked.update(question.songs.tolist())
        actions = question.actions
        super().count_saved([Actions(actions.identities[question.saved :], actions.codes[question.saved :])])
        self._aside = self._saved_of(question.songs, others=True)

    def _count(self, codes: Ints) -> tuple[CountRows, CountRows]:
        minutes, hours = super()._count(codes)
        return minutes.select(np.zeros(0, np.int64)), hours

    def _add_counts(self, question: IndexQuestion, found: Column) -> None:
        """Add what the index has counted of the songs that are asked for."""
        numbers = {(first, second): number for number, (first, second) in zip(*_lists(question), strict=True)}
        found = found[np.isin(found["song"][:, 0], question.hashes[:, 0])]
        places = [numbers.get((first, second), -1) for first, second in found["song"].tolist()]
        songs = np.array(places, np.int64)
        keys, counts = songs << REGION_BITS | found["region"].astype(np.int64), found["counts"].astype(np.int64)
        order = np.argsort(keys)
        order = order[songs[order] >= 0]
        self._hours.add(keys[order].astype(np.uint64), counts[order])

    def _saved_of(self, songs: Ints, *, others: bool = False) -> Actions:
        """What is held aside of these songs, or of the others."""
        mine = np.isin(self._aside.codes >> SONG_SHIFT, songs, invert=others)
        return Actions(self._aside.identities[mine], self._aside.codes[mine])


def _lists(question: IndexQuestion) -> tuple[list[int], list[list[int]]]:
    return question.songs.tolist(), question.hashes.tolist()
