"""Stage 2: the counts of a shard's songs over all source partitions, and its top list for every chart.

Everything that comes in is absolute and is merged by maximum (see `CountTable.raise_to`), so messages may come twice,
late or in any order between partitions, and a replay changes nothing.
"""

import logging
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
from msgspec import Struct

from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.wire import ROWS, CountRows, Partial
from songline.processors.trending.count_table import LIKES, LISTENS, CountTable, SlotIndex
from songline.processors.trending.plays.state import SongDays
from songline.processors.trending.policy import SPANS, UNIT_MS, Unit
from songline.processors.trending.shards.song_facts import SongFacts
from songline.processors.trending.shards.windows import SlidingWindow, WindowSums
from songline.processors.trending.shards.wire import ShardWatermark, SongLabel, TopK
from songline.processors.trending.song_index import REGION_BITS, Ints, SongIndex, region_name
from songline.schemas.decoding import DECODING_ERRORS, MsgpackDecoder
from songline.schemas.documents import CHART_SIZE, GLOBAL, KINDS, UNKNOWN_GENRE, Kind, chart_key
from songline.schemas.errors import PoisonError
from songline.schemas.plays import HOURS

log = logging.getLogger(__name__)

_LONGEST: dict[Unit, int] = {
    unit: max(span.buckets for span in SPANS.values() if span.unit == unit) for unit in UNIT_MS
}
_UNITS: tuple[Unit, ...] = tuple(UNIT_MS)


class ShardHead(Struct, frozen=True, array_like=True):
    """How far each source partition has been applied, and whether what waits to be written is saved as well: what was
    saved before songs' days were written has not been."""

    positions: dict[int, int]
    through_ms: dict[int, int | None]
    waiting: bool = False


class Shard:
    """One shard in the hands of one owner. `flush` gives what to save by key; `restore` takes it back.

    `owner` is a name that no other owner of the shard ever has. An owner writes keys of its own, so one that lost the
    shard without knowing it overwrites nothing; what all of them saved is merged. `plays` are its songs' hours.
    """

    def __init__(self, number: int, owner: str) -> None:
        self.number = number
        self._owner = owner
        self._positions: dict[int, int] = {}
        self._through: dict[int, int | None] = {}
        self._songs = SongIndex()
        self.plays = SongDays(self._songs, f"{number}/{owner}/waiting/")
        self._facts = SongFacts()
        self._rows = SlotIndex()
        self._row_song = np.zeros(0, np.int64)
        self._row_region = np.zeros(0, np.int64)
        self._tallies: dict[tuple[Unit, int, int], CountTable] = {}
        self._windows = {name: SlidingWindow(span) for name, span in SPANS.items()}
        self._last: dict[Unit, int] = {}
        self._genres: dict[str, set[int]] = {}
        self._song_genre: list[str] = []
        self._removed: set[int] = set()
        self._dirty: dict[tuple[Unit, int, int], set[int]] = {}
        self._saved: dict[tuple[Unit, int, int], set[str]] = {}
        self._gone: list[str] = []
        self._sent: dict[str, TopK] = {}
        self._told: set[str] = set()
        self._renamed: set[str] = set()

    @property
    def songs(self) -> SongIndex:
        """The songs that it counts, or has heard of."""
        return self._songs

    def apply(self, partial: Partial) -> None:
        """Take in what one source partition says."""
        for unit, section in zip(_UNITS, (partial.minutes, partial.hours), strict=True):
            self._raise(unit, partial.partition, partials.unpack(section, self._songs))
        for fact in partial.facts:
            if self._facts.learn(partial.partition, fact):
                self._renamed.add(fact.song_id)
                self._place(self._songs[fact.song_id])
                for window in self._windows.values():
                    window.slid = True
        if partial.position is not None:
            self._reach(partial.partition, partial.position, partial.through_ms)

    def advance(self, now_ms: int) -> None:
        """Slide the windows to the moment; time that stands still or goes back moves nothing."""
        for unit, length in UNIT_MS.items():
            last = now_ms // length
            if unit not in self._last or last > self._last[unit]:
                self._last[unit] = last
                self._slide(unit, last)

    def mark(self, now_ms: int) -> ShardWatermark:
        return ShardWatermark(now_ms, dict(self._positions), dict(self._through))

    def tops(self, *, whole: bool) -> tuple[list[SongLabel], dict[str, TopK]]:
        """The top lists that differ from what was last taken (`whole`: all of them), and what is new of the songs
        in them."""
        if whole:
            self._sent, self._told = {}, set()
        changed = {key: top for key, top in self._touched(whole=whole) if self._differs(key, top)}
        self._sent |= changed
        names = {song for top in changed.values() for song in top.song} - self._told
        self._told |= names
        names |= self._renamed & self._told
        self._renamed = set()
        return [self._song(name) for name in sorted(names)], changed

    def flush(self) -> dict[str, bytes | None]:
        """What has changed since the last flush, by key, None for what is gone, to be saved in this order: what waits
        to be written before the counts in it, and what was applied last."""
        waiting, written = self.plays.backlog.flush()
        values: dict[str, bytes | None] = {**waiting, **dict.fromkeys(self._gone)}
        for (unit, bucket, source), pieces in self._dirty.items():
            tally = self._tallies[unit, bucket, source]
            for piece in pieces:
                stretch = slice(piece * ROWS, (piece + 1) * ROWS)
                keys = tally.keys[stretch]
                rows = CountRows(keys, np.full(len(keys), bucket, np.int64), tally.counts[stretch])
                key = f"{self.number}/{self._owner}/{unit}/{bucket}/{source}/{piece}"
                values[key] = _encode(partials.pack(rows, self._songs))
                self._saved.setdefault((unit, bucket, source), set()).add(key)
        for piece, value in self._facts.flush():
            values[f"{self.number}/{self._owner}/facts/{piece}"] = value
        values |= dict.fromkeys(written)
        values[f"{self.number}/{self._owner}/head"] = _encode(ShardHead(self._positions, self._through, waiting=True))
        self._dirty, self._gone = {}, []
        return values

    def restore(self, saved: Iterable[tuple[str, bytes]]) -> None:
        """Take in all that `flush` ever gave and that still holds."""
        waiting: list[tuple[str, bytes]] = []
        known = False
        for key, value in saved:
            match key.split("/")[2:]:
                case ["head"]:
                    head = decode_head(value)
                    known = known or head.waiting
                    for source, position in head.positions.items():
                        self._reach(source, position, head.through_ms.get(source))
                case ["facts", _]:
                    try:
                        self._facts.restore(value)
                    except (PoisonError, *DECODING_ERRORS) as error:
                        log.error("shard %d: passed over what was saved under %s: %s", self.number, key, error)
                case ["waiting", _]:
                    waiting.append((key, value))
                case ["minute" | "hour" as unit, bucket, source, _]:
                    if unit in self._last and _is_over(unit, int(bucket), self._last[unit]):
                        self._gone.append(key)
                        continue
                    self._saved.setdefault((unit, int(bucket), int(source)), set()).add(key)
                    self._raise(unit, int(source), partials.unpack(decode_section(value), self._songs))
        for song_id in self._facts.songs():
            self._place(self._songs[song_id])
        self._dirty = {}
        if known:
            self.plays.restored()
        for key, value in waiting:
            self.plays.backlog.inherit(key, value)

    def _reach(self, source: int, position: int, through_ms: int | None) -> None:
        self._positions[source] = max(self._positions.get(source, -1), position)
        known = self._through.get(source)
        self._through[source] = known if through_ms is None else max(known or 0, through_ms)

    def _raise(self, unit: Unit, source: int, rows: CountRows) -> None:
        if not len(rows):
            return
        order = np.argsort(rows.bucket, kind="stable")
        rows = rows.take(order)
        buckets, starts = np.unique(rows.bucket, return_index=True)
        ends = np.append(starts, len(rows))[1:]
        for bucket, start, end in zip(buckets.tolist(), starts.tolist(), ends.tolist(), strict=True):
            if unit in self._last and _is_over(unit, bucket, self._last[unit]):
                continue
            pairs = rows.pair[start:end]
            tally = self._tallies.setdefault((unit, bucket, source), CountTable())
            slots, more = tally.raise_to(pairs, rows.counts[start:end])
            if unit == "hour":
                self.plays.add(bucket, pairs >> REGION_BITS, more)
            rose = more.any(axis=1)
            if not rose.any():
                continue
            pieces = np.unique(slots[rose] // ROWS).tolist()
            self._dirty.setdefault((unit, bucket, source), set()).update(pieces)
            self._add(unit, bucket, pairs[rose], more[rose])

    def _add(self, unit: Unit, bucket: int, pairs: Ints, more: Ints) -> None:
        rows = self._rows_of(pairs)
        songs, regions = self._row_song[rows], self._row_region[rows]
        for window in self._windows.values():
            if window.span.unit == unit:
                window.add(bucket, rows, songs, regions, more)

    def _rows_of(self, pairs: Ints) -> Ints:
        rows = self._rows.of(pairs)
        if len(self._rows) > len(self._row_song):
            room = max(len(self._rows), 2 * len(self._row_song)) - len(self._row_song)
            self._row_song = np.concatenate([self._row_song, np.zeros(room, np.int64)])
            self._row_region = np.concatenate([self._row_region, np.full(room, -1, np.int64)])
        self._row_song[rows] = pairs >> REGION_BITS
        self._row_region[rows] = pairs & (1 << REGION_BITS) - 1
        # Songs with facts were placed when those came.
        news = range(len(self._song_genre), len(self._songs))
        self._genres.setdefault(UNKNOWN_GENRE, set()).update(news)
        self._song_genre += [UNKNOWN_GENRE] * len(news)
        return rows

    def _slide(self, unit: Unit, last: int) -> None:
        for key in [key for key in self._tallies if key[0] == unit and _is_over(unit, key[1], last)]:
            del self._tallies[key]
            self._dirty.pop(key, None)
            self._gone += self._saved.pop(key, ())
            if unit == "hour":
                self.plays.drop(key[1])
        for window in self._windows.values():
            if window.span.unit == unit:
                window.place(last)
        for (one, bucket, _), tally in self._tallies.items():
            if one == unit:
                self._add(unit, bucket, tally.keys, tally.counts)

    def _place(self, number: int) -> None:
        """Put a song where its facts say it belongs."""
        for new in range(len(self._song_genre), number + 1):
            self._genres.setdefault(UNKNOWN_GENRE, set()).add(new)
            self._song_genre.append(UNKNOWN_GENRE)
        name = self._songs.names[number]
        genre, before = self._facts.genre(name), self._song_genre[number]
        self._genres[before].discard(number)
        self._genres.setdefault(genre, set()).add(number)
        self._song_genre[number] = genre
        if self._facts.removed(name):
            self._removed.add(number)
        else:
            self._removed.discard(number)

    def _song(self, name: str) -> SongLabel:
        fact = self._facts.of(name)
        return (
            SongLabel(name, None, None, None) if fact is None else SongLabel(name, fact.title, fact.artist, fact.genre)
        )

    def _differs(self, key: str, top: TopK) -> bool:
        known = self._sent.get(key)
        return top != known if known is not None else bool(top.song)

    def _touched(self, *, whole: bool) -> Iterator[tuple[str, TopK]]:
        used = len(self._rows)
        by_region = np.argsort(self._row_region[:used], kind="stable")
        regions, starts = np.unique(self._row_region[:used][by_region], return_index=True)
        rows_of = dict(zip(regions.tolist(), np.split(by_region, starts.tolist()[1:]), strict=True)) if used else {}
        for name, window in self._windows.items():
            everything = whole or window.slid
            if not everything and not window.touched_songs:
                continue
            songs = np.arange(min(len(self._songs), len(window.songs.scores)))
            yield from self._lists(name, GLOBAL, window.songs, songs, songs)
            for region in rows_of if everything else window.touched_regions:
                rows = rows_of[region]
                if (code := region_name(region)) is not None:
                    rows = rows[rows < len(window.rows.scores)]
                    yield from self._lists(name, f"region:{code}", window.rows, rows, self._row_song[rows])
            genres = self._genres if everything else {self._song_genre[song] for song in window.touched_songs}
            for genre in genres:
                songs = np.fromiter(self._genres[genre], np.int64, len(self._genres[genre]))
                songs = songs[songs < len(window.songs.scores)]
                yield from self._lists(name, f"genre:{genre}", window.songs, songs, songs)
            window.taken()

    def _lists(self, window: str, scope: str, sums: WindowSums, at: Ints, songs: Ints) -> Iterator[tuple[str, TopK]]:
        for kind in KINDS:
            yield chart_key(kind, window, scope), self._best(kind, sums, at, songs)

    def _best(self, kind: Kind, sums: WindowSums, at: Ints, songs: Ints) -> TopK:
        """The hundred greatest values, ties by song id."""
        values = sums.scores[at] if kind == "trending" else sums.counts[at, LISTENS]
        shown = values > 0
        if self._removed:
            shown &= ~np.isin(songs, list(self._removed))
        which = np.flatnonzero(shown)
        if len(which) > CHART_SIZE:
            least = np.partition(values[which], -CHART_SIZE)[-CHART_SIZE]
            which = which[values[which] >= least]
        names = [self._songs.names[song] for song in songs[which].tolist()]
        ranked = sorted(zip((-values[which]).tolist(), names, which.tolist(), strict=True))[:CHART_SIZE]
        counts = sums.counts[at[[place for _, _, place in ranked]]] if ranked else np.zeros((0, 3), np.int64)
        return TopK(
            song=[name for _, name, _ in ranked],
            listens=counts[:, LISTENS].tolist(),
            likes=counts[:, LIKES].tolist(),
            value=[-value for value, _, _ in ranked],
        )


def _is_over(unit: Unit, bucket: int, last: int) -> bool:
    """Whether no window can show the bucket any more. Hours stay until that is so of all of their day."""
    end = bucket if unit == "minute" else bucket // HOURS * HOURS + HOURS - 1
    return end <= last - _LONGEST[unit]


_encode = msgspec.msgpack.Encoder().encode
decode_head = MsgpackDecoder(ShardHead).decode
decode_section = MsgpackDecoder(partials.CountSection).decode
