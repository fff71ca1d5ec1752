"""The songs of a shard hour by hour: their counts over all source partitions and regions, and which days to write."""

from collections.abc import Iterator
from datetime import date
from itertools import repeat

import numpy as np

from songline.processors.trending.count_table import KINDS, LIKES, LISTENS, UNLIKES, CountTable, add_rows
from songline.processors.trending.plays.backlog import Backlog, Day
from songline.processors.trending.song_index import Ints, SongIndex, Which
from songline.processors.trending.sorted_columns import Column
from songline.schemas.plays import HOURS, SongDay, day_id

UNKNOWN = -1
"""No song has this number."""

_EPOCH = date(1970, 1, 1).toordinal()


class SongDays:
    """The counts of the songs of one shard, by hour. The keys of the saved backlog begin with `prefix`.

    Whole days are held, so that a day is written whole.
    """

    def __init__(self, songs: SongIndex, prefix: str) -> None:
        self._songs = songs
        self._hours: dict[int, CountTable] = {}
        self._stored: dict[int, Which] = {}
        """Of each day (since 1970), by the number of a song, whether its document may be stored."""
        self.backlog = Backlog(prefix)

    def add(self, hour: int, songs: Ints, more: Column) -> None:
        """Add `more` (song, kind) of an hour since 1970; songs may repeat. Their day waits to be written.

        The day waits where nothing is added, too: a former owner that has lost the shard without noticing it may have
        saved counts, while the days that it let wait were written as they were before.
        """
        distinct = self._count(hour, songs, more)
        self._let_wait(hour, distinct)

    def restore(self, hour: int, songs: Ints, more: Column) -> None:
        """Add what was saved of an hour, of which any owner may have stored the days; or take away what was added and
        was not saved. No day waits for it: `Backlog.inherit` takes over what does."""
        self._mark_stored(hour // HOURS, self._count(hour, songs, more))

    def let_all_wait(self) -> None:
        """Let all days wait of which anything is counted."""
        for hour, table in self._hours.items():
            self._let_wait(hour, table.keys)

    def may_be_stored(self, document: SongDay) -> bool:
        """Whether the document's day may be stored: it was written, or some of it was counted by an earlier owner."""
        song, stored = self._songs.get(document.song_id, UNKNOWN), self._stored.get(_number(document))
        return stored is not None and 0 <= song < len(stored) and bool(stored[song])

    def _let_wait(self, hour: int, songs: Ints) -> None:
        names = map(self._songs.names.__getitem__, songs.tolist())
        self.backlog.add(zip(names, repeat(hour // HOURS)))

    def _mark_stored(self, day: int, songs: Ints) -> None:
        stored = self._stored.get(day)
        if stored is None or len(stored) < len(self._songs):
            grown = np.zeros(len(self._songs) + len(self._songs) // 8, np.bool_)
            if stored is not None:
                grown[: len(stored)] = stored
            stored = self._stored[day] = grown
        stored[songs] = True

    def _count(self, hour: int, songs: Ints, more: Column) -> Ints:
        """Add to the counts of an hour; return the songs, each once."""
        distinct, places = np.unique(songs, return_inverse=True)
        sums = np.zeros((len(distinct), KINDS), np.int64)
        add_rows(sums, places, more)
        self._hours.setdefault(hour, CountTable()).add(distinct, sums)
        return distinct

    def drop(self, hour: int) -> None:
        """Drop an hour of a day that no window can show any more."""
        self._hours.pop(hour, None)
        self._stored.pop(hour // HOURS, None)

    def due(self, limit: int) -> list[SongDay]:
        """At most so many of the days that wait, as they are now. Call `written` or `refused` with each that is."""
        days = []
        for day in self.backlog.oldest(limit):
            document = self._document(day)
            if document.total:
                days.append(document)
            else:
                # Its hours are dropped, or were never saved and come again with their events.
                self.backlog.remove(day)
        return days

    def take_before(self, day: int) -> Iterator[SongDay]:
        """The days before a UTC day (since 1970) that wait, each of which waits no more once it is taken here."""
        for waiting in self.backlog.oldest(len(self.backlog)):
            if waiting[1] < day:
                self.backlog.remove(waiting)
                if (document := self._document(waiting)).total:
                    yield document

    def written(self, document: SongDay) -> None:
        """The document, or one that counts more, is stored."""
        day = document.song_id, _number(document)
        total = self._document(day).total
        if total:
            # Of a day that was dropped meanwhile nothing is kept.
            self._mark_stored(day[1], self._songs.numbers([document.song_id]))
        if total > document.total:
            self.backlog.move_to_end(day)
        else:
            self.backlog.remove(day)

    def refused(self, document: SongDay) -> None:
        """The store refuses the document: its day is not due until it changes."""
        day = document.song_id, _number(document)
        if self._document(day).total > document.total:
            self.backlog.move_to_end(day)
        else:
            self.backlog.set_aside(day)

    def waits(self, document: SongDay) -> bool:
        """Whether the document's day is not stored as it is counted."""
        return (document.song_id, _number(document)) in self.backlog

    def _document(self, day: Day) -> SongDay:
        song_id, number = day
        song = self._songs.get(song_id, UNKNOWN)
        counts = np.zeros((HOURS, KINDS), np.int64)
        for hour in range(HOURS):
            if (tally := self._hours.get(number * HOURS + hour)) is not None:
                counts[hour] = tally.of(song)
        return SongDay(
            id=day_id(date.fromordinal(_EPOCH + number)),
            song_id=song_id,
            total=int(counts.sum()),
            listens=tuple(counts[:, LISTENS].tolist()),
            likes=tuple(counts[:, LIKES].tolist()),
            unlikes=tuple(counts[:, UNLIKES].tolist()),
        )


def _number(document: SongDay) -> int:
    """The document's day, in days since 1970."""
    return date.fromisoformat(document.id).toordinal() - _EPOCH
