"""The cells of one partition of `music-events` as a whole: batches in; at each flush what to send and what to save."""

from itertools import count

import numpy as np
from msgspec import Struct

from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells.body_scanner import BodyScanner
from songline.processors.trending.cells.columns import read_batch
from songline.processors.trending.cells.hour_cut import HourCut
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.validation import cell_key
from songline.processors.trending.cells.wire import CountRows, SongFact, join_rows, partial_bodies
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.parking_queue import UnappliedRecord, unapplied_record
from songline.processors.trending.song_index import REGION_BITS, RegionIndex, SongIndex, shard_of
from songline.processors.trending.spans import HOUR_MS, SPANS, WEEK_HOURS
from songline.processors.trending.watermark import position_at
from songline.schemas.envelope import Event
from songline.schemas.errors import PoisonError
from songline.schemas.events import SongUploaded
from songline.schemas.moments import milliseconds
from songline.schemas.ownership import UNDATED_S, Claim
from songline.schemas.policy import V1, ChartPolicy

AT_END_MARGIN_MS = 1_000
"""The watermark is so much before the answer of a fetch that found nothing more: the broker looked a while before its
answer came, and its clock is another one."""

_MINUTES = max(span.buckets for span in SPANS.values() if span.unit == "minute")


class SourceChanges(Struct, frozen=True):
    """What has changed since the last flush: absolute counts, facts of songs, how far these go (positions at a level,
    see `watermark.position_at`), and `chunks` to save by key, None for one to delete."""

    minutes: CountRows
    hours: CountRows
    facts: list[SongFact]
    position: int
    watermark_ms: int | None
    chunks: dict[str, bytes | None]


class SourceFlush(Struct, frozen=True):
    """What a flush has to send, in this order: `partials` (shard, body), then `chunks` by key, None for one to delete.

    `position` may be committed once everything is acknowledged, and the records that could not be applied are parked.
    """

    position: int
    partials: list[tuple[int, bytes]]
    chunks: dict[str, bytes | None]


class SourcePartition:
    """One source partition in the hands of one owner.

    `owner` is a name that no other owner of the partition ever has; `position` is the last offset that was applied
    before, -1 for none. Shards are sent positions at a level (`watermark.position_at`), since a hub that was made anew
    begins again at offset 0. Hours that `cells` misses have to be loaded before a flush; some may be loaded already.
    """

    def __init__(
        self,
        number: int,
        owner: str,
        shards: int,
        songs: SongIndex,
        regions: RegionIndex,
        users: UserHashes,
        key: IdentityKey,
        position: int,
        level: int = 0,
        policy: ChartPolicy = V1,
        cells: PartitionCells | None = None,
    ) -> None:
        self.number = number
        self._owner = owner
        self.position = position
        self._level = level
        self._policy = policy
        self._shards = shards
        self._songs = songs
        self._regions = regions
        self._users = users
        self._key = key
        self.cells = PartitionCells(songs, key, count()) if cells is None else cells
        self._watermark_ms: int | None = None
        self._facts: list[SongFact] = []
        self._unapplied: list[UnappliedRecord] = []
        self._sent: tuple[int, int | None] | None = None
        self._cut = HourCut()
        self._scanner = BodyScanner()

    def await_hour(self, now_ms: int) -> None:
        """Have the counts at the next hour's first moment sent as such, unless that is missed by a minute; a watermark
        that is yet to come is of a clock that was set back since, and is not known any more."""
        if self._watermark_ms is not None and self._watermark_ms > now_ms:
            self._watermark_ms = None
        for waiting in self._cut.advance(now_ms):
            self._fold(waiting)

    def apply(self, batch: Batch) -> None:
        """Fold a batch, as far as the hour that is awaited; the rest is folded behind the next flush. What was folded
        before may come again, in its order."""
        part = self._cut.before(batch)
        if part is not None:
            self._fold(part)
        if self._cut.waits and self._cut.hour is not None:
            self._advance(self._cut.hour * HOUR_MS)

    def _fold(self, batch: Batch) -> None:
        indexes = (self._songs, self._regions, self._users)
        read = read_batch(batch.bodies, batch.logged_ms, *indexes, self._policy, self._scanner)
        self.cells.fold(read)
        self._facts += [
            _fact(event, position_at(self._level, batch.offsets[index]), batch.logged_ms[index], self._key)
            for index, event in read.facts
        ]
        self._unapplied += [unapplied_record(why, batch, index) for index, why in read.poison]
        self.position = max(self.position, batch.end - 1)
        if batch.logged_ms:
            self._advance(batch.logged_ms[-1])

    @property
    def waiting(self) -> int:
        """How many events wait behind the awaited hour."""
        return self._cut.count

    def take_unapplied(self) -> list[UnappliedRecord]:
        """The records that could not be applied since the last call, to be parked."""
        found, self._unapplied = self._unapplied, []
        return found

    def at_end(self, polled_ms: int) -> None:
        """Advance the watermark: at this moment the partition held nothing more than was applied."""
        self._advance(polled_ms - AT_END_MARGIN_MS)

    @property
    def changed(self) -> bool:
        """Whether the shards were not sent the position and the watermark yet."""
        return self._sent != (self.position, self._watermark_ms)

    @property
    def has_news(self) -> bool:
        """Whether the shards were not sent the position yet."""
        return self._sent is None or self._sent[0] != self.position

    def flush(self, now_ms: int) -> SourceFlush:
        """What changed since the last flush, as messages.

        What waits behind the awaited hour is folded then, and is in the next flush.
        """
        hour = self._cut.hour
        reached = hour is not None and self._watermark_ms is not None and self._watermark_ms >= hour * HOUR_MS
        changes = self.take_changes(now_ms)
        partials = self._messages(changes, hour if reached else None)
        flush = SourceFlush(position=self.position, partials=partials, chunks=changes.chunks)
        if reached:
            for waiting in self._cut.pass_on(now_ms):
                self._fold(waiting)
        return flush

    def take_changes(self, now_ms: int) -> SourceChanges:
        """What changed since the last flush. Counts of minutes that no window can show any more are left out."""
        minutes: list[CountRows] = []
        hours: list[CountRows] = []
        chunks: dict[str, bytes | None] = {}
        for cell in self.cells.flush(now_ms):
            shown = np.flatnonzero(cell.minutes.bucket > now_ms // 60_000 - _MINUTES)
            minutes.append(cell.minutes.select(shown))
            hours.append(cell.hours)
            chunks |= {self.chunk_key(cell.hour, piece): value for piece, value in cell.chunks.items()}
        facts, self._facts = self._facts, []
        self._sent = (self.position, self._watermark_ms)
        return SourceChanges(
            minutes=join_rows(minutes),
            hours=join_rows(hours),
            facts=facts,
            position=position_at(self._level, self.position),
            watermark_ms=None if self._watermark_ms is None else min(self._watermark_ms, now_ms),
            chunks=chunks,
        )

    def chunk_key(self, hour: int, piece: int) -> str:
        """The key of one of this owner's chunks."""
        return f"{hour_prefix(self.number, hour)}{self._owner}/{piece}"

    @property
    def watermark_ms(self) -> int | None:
        """Everything that the hub took before this moment (Unix ms) is applied; None where that is not known."""
        return self._watermark_ms

    def _messages(self, changes: SourceChanges, hour: int | None) -> list[tuple[int, bytes]]:
        shards, minutes, hours = self._songs.shards(), changes.minutes, changes.hours
        minute_shards, hour_shards = shards[minutes.pair >> REGION_BITS], shards[hours.pair >> REGION_BITS]
        return [
            (shard, body)
            for shard in range(self._shards)
            for body in partial_bodies(
                self.number,
                changes.position,
                changes.watermark_ms,
                {
                    "minute": minutes.select(np.flatnonzero(minute_shards == shard)),
                    "hour": hours.select(np.flatnonzero(hour_shards == shard)),
                },
                [fact for fact in changes.facts if shard_of(fact.song_id, self._shards) == shard],
                self._songs,
                hour,
            )
        ]

    def _advance(self, ms: int) -> None:
        if ms >= 0:
            self._watermark_ms = ms if self._watermark_ms is None else max(self._watermark_ms, ms)


def hour_prefix(partition: int, hour: int) -> str:
    """How the keys of an hour's chunks begin; the owner and the number of the chunk follow."""
    return f"{partition}/{hour}/"


def oldest_hour(now_ms: int) -> int:
    """The oldest hour that a window may show, and one more."""
    return now_ms // HOUR_MS - WEEK_HOURS - 1


def outdated(keys: list[str], number: int, now_ms: int) -> list[str]:
    """Those of a partition's saved keys whose hour no window can show any more."""
    found = []
    for key in keys:
        try:
            hour = int(cell_key(key.encode(), number)[1])
        except PoisonError:
            continue
        if hour < oldest_hour(now_ms):
            found.append(key)
    return found


def _more_genres(data: SongUploaded) -> tuple[str, ...]:
    """The genres of an upload beside `genre`, each once."""
    return tuple(one for one in dict.fromkeys(data.genres or ()) if one != data.genre)


def _fact(event: Event, offset: int, logged_ms: int, key: IdentityKey) -> SongFact:
    data, time_ms, again = event.data, milliseconds(event.time), event.resubmit_of is not None
    uploader = key.uploader(data.user_id, data.song_id)
    if isinstance(data, SongUploaded):
        claim = Claim(logged_ms // 1_000 if logged_ms >= 0 else UNDATED_S, offset)
        words = (data.title, data.artist, data.genre)
        return SongFact(data.song_id, time_ms, offset, False, *words, uploader, claim, again, True, _more_genres(data))
    return SongFact(data.song_id, time_ms, offset, True, user_id=uploader, again=again, is_keyed=True)
