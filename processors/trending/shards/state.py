"""Stage 2: a shard counts its songs over all source partitions, and has the top list of each for every chart.

Counts are merged by maximum (`counts.py`), so messages may come twice, late or in any order between source partitions,
and a replay changes nothing.
"""

import logging
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
from msgspec import Struct

from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.wire import CountRows, Partial, SongFact
from songline.processors.trending.plays.state import SongDays
from songline.processors.trending.shards.counts import BucketKey, ShardCounts
from songline.processors.trending.shards.restored_tables import RestoredTables
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.shards.saved_keys import SavedKeys, table_of
from songline.processors.trending.shards.shard_image import IN_IMAGE, ShardImage, facts_key
from songline.processors.trending.shards.shard_report import ReportedLists
from songline.processors.trending.shards.song_facts import SongFacts
from songline.processors.trending.shards.song_genres import SongGenres
from songline.processors.trending.shards.top_k import changed_lists
from songline.processors.trending.shards.windows import ShardWindows
from songline.processors.trending.shards.wire import SongLabel, TopK
from songline.processors.trending.song_index import REGION_BITS, Ints, SongIndex
from songline.processors.trending.sorted_columns import Column
from songline.processors.trending.spans import UNIT_MS, Unit
from songline.processors.trending.watermark import ShardWatermark, SourceWatermarks
from songline.schemas.decoding import DECODING_ERRORS, MsgpackDecoder
from songline.schemas.errors import PoisonError
from songline.schemas.policy import V1, ChartPolicy
from songline.schemas.projections import FIRST_VERSION

log = logging.getLogger(__name__)

_UNITS: tuple[Unit, ...] = tuple(UNIT_MS)


class ShardHead(Struct, frozen=True, array_like=True):
    """How far each source partition is applied, and whether what waits to be written is saved as well: it was not
    before songs' days were written. It waits to be written to the version `plays` of these, which is another one than
    before for the `turn`th time; neither is saved before the first."""

    positions: dict[int, int]
    watermarks_ms: dict[int, int | None]
    waiting: bool = False
    plays: int = FIRST_VERSION
    turn: int = 0


class Shard:
    """One shard in the hands of one owner. `flush` returns what to save by key; `restore` applies it.

    `owner` is a name that no other owner of the shard ever has. `days` are the songs' hours, a day at a time, for the
    version `plays` of songs' days. `key`: that under which uploaders are known. `image`: what `fill` counts, or
    `restore` does.
    """

    def __init__(
        self,
        number: int,
        owner: str,
        key: IdentityKey,
        policy: ChartPolicy = V1,
        plays: int = FIRST_VERSION,
        image: ShardImage | None = None,
    ) -> None:
        self.number = number
        self._plays = plays
        self._turn = 0 if plays == FIRST_VERSION else 1
        self._image = image
        self._image_keys: dict[str, BucketKey] = {}
        """The keys under which the image's tables were saved."""
        self.songs = SongIndex() if image is None else image.songs
        """The songs that the shard counts, or knows facts of."""
        self._keys = SavedKeys(number, owner)
        self._watermarks = SourceWatermarks()
        self._rows = RowIndex() if image is None else image.rows
        self._counts = ShardCounts(self._rows)
        self._windows = ShardWindows(policy, self._rows)
        self._facts = SongFacts(key)
        self._former_facts: list[str] = []
        self._genres = SongGenres()
        self._reported = ReportedLists()
        self.days = SongDays(self.songs, self._keys.waiting)
        self._restored = RestoredTables(self.songs, self._rows, self._counts, self.days)

    def apply(self, *messages: Partial) -> None:
        """Apply messages of source partitions, of each no more than one."""
        numbers = np.array([one.partition for one in messages], np.int64)
        minutes, hours = [one.minutes for one in messages], [one.hours for one in messages]
        for unit, sections in zip(_UNITS, (minutes, hours), strict=True):
            columns = partials.join_sections(sections)
            bucket, counts = columns.bucket.astype(np.int64), columns.counts.astype(np.int64)
            self._raise(unit, np.repeat(numbers, columns.rows), CountRows(columns.pairs(self.songs), bucket, counts))
        for one in messages:
            self._learn(one.partition, one.facts)
            if one.position is not None:
                self.advance_source(one.partition, one.position, one.watermark_ms)

    def count(self, source: int, minutes: CountRows, hours: CountRows, facts: Iterable[SongFact]) -> None:
        """Count what a source partition reports, by the numbers that songs have in `songs`; and learn its facts."""
        for unit, rows in zip(_UNITS, (minutes, hours), strict=True):
            self._raise(unit, np.full(len(rows), source, np.int64), rows)
        self._learn(source, facts)

    def _learn(self, source: int, facts: Iterable[SongFact]) -> None:
        for fact in facts:
            if self._facts.learn(source, fact):
                self._reported.relabel(fact.song_id)
                if self._place(fact.song_id) and self._windows.show(self.songs[fact.song_id]):
                    self._windows.change_all()

    def advance_source(self, source: int, position: int, watermark_ms: int | None) -> None:
        """A source partition has reported all up to a position and a moment."""
        self._watermarks.advance(source, position, watermark_ms)

    def slides(self, now_ms: int) -> bool:
        """Whether `advance` to the moment moves windows: that fills them anew, a tenth of a second of a large shard."""
        return any(self._counts.moves(unit, now_ms // length_ms) for unit, length_ms in UNIT_MS.items())

    def advance(self, now_ms: int) -> None:
        """Slide the windows to the moment, and back to it where a clock was set back."""
        for unit, length_ms in UNIT_MS.items():
            newest = now_ms // length_ms
            dropped = self._counts.advance(unit, newest)
            if dropped is None:
                continue
            for key in dropped:
                self._keys.drop(key)
                if unit == "hour":
                    self.days.drop(key.bucket)
            self._windows.slide(unit, newest, self._counts.tables(unit))

    def watermark(self, now_ms: int) -> ShardWatermark:
        """How far the shard is; `now_ms` is the moment to which its windows were slid."""
        return self._watermarks.as_of(now_ms)

    def report(self, *, whole: bool, scoped: bool = True) -> tuple[list[SongLabel], dict[str, TopK]]:
        """The songs and top lists that differ from what was reported last; `whole`: all of them. Without `scoped` the
        lists of regions and genres are left for a later report."""
        lists = changed_lists(self._windows, self._rows, self.songs, self._genres, whole=whole, scoped=scoped)
        song_ids, changed = self._reported.report(lists, whole=whole)
        return [self._label(song_id) for song_id in song_ids], changed

    def lists_at(self, hour: int) -> tuple[list[SongLabel], dict[str, TopK], ShardWatermark]:
        """All songs and top lists at the first moment of an hour (since 1970), whose counts are applied. What is
        reported next has to be whole."""
        now_ms = hour * UNIT_MS["hour"]
        self.advance(now_ms)
        lists = changed_lists(self._windows, self._rows, self.songs, self._genres, whole=True, scoped=True)
        tops = {key: top for key, top in lists if top.song}
        labels = [self._label(song_id) for song_id in sorted({song for top in tops.values() for song in top.song})]
        return labels, tops, self.watermark(now_ms)

    def flush(self) -> dict[str, bytes | None]:
        """What has changed since the last flush, by key, None for what is to be deleted.

        It is to be saved in this order: what waits to be written before the counts in it, and how far the sources are
        applied last.
        """
        waiting, written = self.days.backlog.flush()
        values: dict[str, bytes | None] = {**waiting, **dict.fromkeys(self._keys.take_deleted())}
        held: list[str] = []
        for bucket, piece, rows in self._counts.unsaved():
            key = self._keys.changes(bucket) if piece is None else self._keys.counts(bucket, piece)
            values[key] = _encode(partials.pack(rows, self.songs))
            if piece is not None:
                held += self._keys.take_changes(bucket)
        values |= dict.fromkeys(held)
        for piece, facts in self._facts.flush():
            values[self._keys.facts(piece)] = facts
        # What they had is saved again, without users' ids.
        former, self._former_facts = self._former_facts, []
        values |= dict.fromkeys(former)
        values |= dict.fromkeys(written)
        values[self._keys.head] = self._head()
        return values

    def saved_keys(self) -> list[str]:
        """The keys under which the tables are saved. All that was restored was flushed since."""
        return self._keys.saved()

    def saved_records(self) -> dict[str, bytes]:
        """What is saved beside the tables and the facts, by key; it may say more than what was flushed last."""
        return {self._keys.head: self._head(), **self.days.backlog.saved()}

    def fact_records(self) -> Iterator[tuple[str, bytes]]:
        """All facts, by keys of an image's own: pieces that are saved later are beside them, and in place of none."""
        for piece, facts in self._facts.pieces():
            yield facts_key(self.number, piece), facts

    def tables(self) -> Iterator[tuple[BucketKey, Column, Column]]:
        """All tables: a copy of the rows, as they rise, and of their counts. Something may be counted meanwhile."""
        return self._counts.by_row()

    def rows(self) -> tuple[Column, Column]:
        """Song and region of each row."""
        return self._rows.columns()

    def fill(self) -> None:
        """Count what the shard's image has. That may be done before it is known what was saved since, and which tables
        are saved no more: `restore` makes up the difference."""
        image, self._image = self._image, None
        if image is None:
            return
        found = ((key, table_of(key)) for key in image.header.keys)
        self._image_keys = {key: table for key, table in found if table is not None}
        songs = [song_id for key, value in image.facts.items() for song_id in self._restore_facts(key, value)]
        self._windows.add_tables(self._restored.fill(image))
        self._place_all(songs)

    def restore(self, saved: Iterable[tuple[str, bytes]]) -> None:
        """Apply what `flush` returned to all owners of the shard, so far as it still holds; IN_IMAGE is the value of
        what the shard's image has. The image's rows of a table hold while a key of theirs does.

        Where another version of songs' days was written last, all days wait: what has changed since is in that one.
        """
        self.fill()
        songs: list[str] = []
        waiting: list[tuple[str, bytes]] = []
        tables: dict[BucketKey, list[bytes]] = {}
        imaged: dict[BucketKey, list[str]] = {}
        last: tuple[int, int] | None = None
        for key, value in saved:
            if value == IN_IMAGE and (table := self._image_keys.get(key)) is not None:
                imaged.setdefault(table, []).append(key)
                continue
            if (table := table_of(key)) is not None:
                if self._take_over(table, key):
                    tables.setdefault(table, []).append(value)
                continue
            match key.split("/")[2:]:
                case ["head"]:
                    head = decode_head(value)
                    if head.waiting:
                        last = max(last or (0, FIRST_VERSION), (head.turn, head.plays))
                    for source, position in head.positions.items():
                        self._watermarks.advance(source, position, head.watermarks_ms.get(source))
                case ["facts", _]:
                    songs += self._restore_facts(key, value)
                case ["waiting", _]:
                    waiting.append((key, value))
        held = {table for table, keys in imaged.items() if self._take_over(table, *keys)}
        self._image_keys = {}
        self._windows.add_tables(self._restored.restore(tables, held))
        self._place_all(songs)
        self._counts.forget_changes()
        waits_all = last is None or last[1] != self._plays
        if waits_all:
            self.days.let_all_wait()
        if last is not None:
            self._turn = last[0] + waits_all
        for key, value in waiting:
            self.days.backlog.inherit(key, value)

    def _take_over(self, table: BucketKey, *keys: str) -> bool:
        """Take over keys under which a table is saved, or delete them where it is over; return whether it is held."""
        if self._counts.is_over(table.unit, table.bucket):
            self._keys.delete(*keys)
            return False
        self._keys.take_over(table, *keys)
        return True

    def _place_all(self, songs: Iterable[str]) -> None:
        """Put all songs into their genres; of these the facts may have changed."""
        for song_id in dict.fromkeys(songs):
            self._place(song_id)
        self._genres.cover(len(self.songs))

    def _head(self) -> bytes:
        watermarks = self._watermarks
        return encode_head(ShardHead(watermarks.positions, watermarks.watermarks_ms, True, self._plays, self._turn))

    def _restore_facts(self, key: str, value: bytes) -> list[str]:
        """Learn saved facts; return their songs."""
        try:
            songs, is_former = self._facts.restore(value)
        except (PoisonError, *DECODING_ERRORS) as error:
            log.error("shard %d: passed over what was saved under %s: %s", self.number, key, error)
            return []
        if is_former:
            self._former_facts.append(key)
        return songs

    def _raise(self, unit: Unit, sources: Ints, rows: CountRows) -> None:
        for bucket, numbers, pairs, more, rose in self._counts.raise_to(unit, sources, rows):
            if unit == "hour":
                self.days.add(bucket, pairs >> REGION_BITS, more)
            if rose.any():
                self._windows.add(unit, bucket, numbers[rose], more[rose])
        self._genres.cover(len(self.songs))

    def _place(self, song_id: str) -> bool:
        """Put a song into the genres that its facts say; return whether lists that have it differ now."""
        genres, removed = self._facts.genres(song_id), self._facts.removed(song_id)
        return self._genres.place(self.songs[song_id], genres, removed=removed)

    def _label(self, song_id: str) -> SongLabel:
        fact = self._facts.of(song_id)
        if fact is None:
            return SongLabel(song_id, None, None, None)
        return SongLabel(song_id, fact.title, fact.artist, fact.genre)


def encode_head(head: ShardHead) -> bytes:
    """The head as it is saved: without what no release before versions saved, where there is none of it."""
    fields = (head.positions, head.watermarks_ms, head.waiting)
    return _encode((*fields, head.plays, head.turn) if head.turn else fields)


_encode = msgspec.msgpack.Encoder().encode
decode_head = MsgpackDecoder(ShardHead).decode
