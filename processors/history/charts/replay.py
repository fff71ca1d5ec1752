"""The charts of a history: trending's pure stages in one process, with the hub's time as the clock.

The stages are those of the live worker (`processors.trending`), so charts are decided by one piece of code. What is
different: every hour's first moment is met exactly, and no event is ahead of the clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import structs

from songline.processors.history.charts.saved_replay import (
    CHECKPOINT,
    WORKER,
    ReplayPlace,
    ReplayState,
    SavedChunks,
    SavedReplay,
    SavedShard,
)
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells.chunks import decode_chunk
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.source_partition import (
    AT_END_MARGIN_MS,
    SourcePartition,
)
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.handover import SavedValues
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.wire import ReportPart
from songline.processors.trending.song_index import RegionIndex
from songline.processors.trending.spans import HOUR_MS, first_counted_hour
from songline.schemas.documents import Chart
from songline.schemas.moments import moment_at
from songline.schemas.plays import HOURS
from songline.schemas.policy import ChartPolicy

MAX_WAITING = 500_000
"""Events that wait for a flush: they take 24 bytes each, and the same songs come again and are counted at once."""

LOADED_BYTES_MAX = 64 * 1024 * 1024
"""Cells are in memory whose chunks have so many bytes: of some 24 for each action, which takes 30 more in its cell."""

Ranks = Mapping[str, Mapping[str, int]]
"""The ranks of songs, by chart and song."""


class ChartReplay:
    """Charts of these `partitions` of a hub, in one `shard`.

    Events are applied in the order of each partition, all those of an hour before `advance` is called with its end.
    `first_hour` is that of the history's first event where the events to come are not all of it. `unapplied` counts
    what the live worker would have parked. `owner`: as which what is saved of the replay is known, a name that nobody
    else ever has. With `keeps_chunks`, the sets of hours that shards count are kept to be handed over.
    """

    def __init__(
        self,
        partitions: Iterable[int],
        policy: ChartPolicy,
        key: IdentityKey,
        first_hour: int | None = None,
        owner: str = "replay",
        *,
        keeps_chunks: bool = False,
    ) -> None:
        self.shard = Shard(0, owner, key, policy)
        songs, regions, users = self.shard.songs, RegionIndex(), UserHashes()
        self._sources = {
            number: SourcePartition(number, owner, 1, songs, regions, users, key, -1, 0, policy)
            for number in partitions
        }
        self._policy = policy
        self._key = key
        self._chunks = SavedChunks() if keeps_chunks else None
        self._saved = SavedShard()
        self._now_ms = 0
        self._hour_ms = 0
        """When the hour began in which events were applied last."""
        self._waiting = 0
        self._first_day = 0
        self._ranks: dict[int, Ranks] = {}
        """Of the last two hourly snapshots, by hour."""
        self._first_hour = first_hour
        self.unapplied = 0
        self.events = 0

    @property
    def positions(self) -> dict[int, int]:
        """The last position that was applied of each partition, -1 for none."""
        return {number: source.position for number, source in self._sources.items()}

    def apply(
        self, partition: int, positions: Sequence[int], enqueued_s: Sequence[int], bodies: Sequence[bytes]
    ) -> None:
        """Apply the events of a partition that follow the ones before. `enqueued_s`: see ArchivedBatch."""
        if not bodies:
            return
        if self._first_hour is None or enqueued_s[0] * 1_000 // HOUR_MS < self._first_hour:
            self._first_hour = enqueued_s[0] * 1_000 // HOUR_MS
        logged_ms = [second * 1_000 for second in enqueued_s]
        source = self._sources[partition]
        source.apply(Batch(positions[0], positions[-1] + 1, positions, logged_ms, bodies))
        self.unapplied += len(source.take_unapplied())
        self.events += len(bodies)
        self._waiting += len(bodies)
        self._hour_ms = logged_ms[0] // HOUR_MS * HOUR_MS
        if self._waiting >= MAX_WAITING:
            # An earlier moment than that of any chart to come leaves out no minute that one of them shows.
            self.flush(self._hour_ms)

    def take_changes(self, place: ReplayPlace) -> SavedReplay:
        """What has changed since the last call, and where the rebuild is."""
        self._save()
        return SavedReplay(self._state(place), self._saved.take_new(CHECKPOINT), self._kept.take_new(CHECKPOINT))

    def whole(self, place: ReplayPlace) -> SavedReplay:
        """All that the last call of `take_changes` had, and all before."""
        return SavedReplay(self._state(place), self._saved.all(), self._kept.all())

    @property
    def saved_bytes(self) -> int:
        """The size of `whole`."""
        return self._saved.size_bytes + self._kept.all_bytes

    def take_handed_over(self) -> tuple[SavedValues, SavedValues]:
        """What a version's worker needs of the shard and of the sets, by key, that is new since the last call."""
        self._save()
        return self._saved.take_new(WORKER), self._kept.take_new(WORKER)

    def restore(self, saved: SavedReplay) -> None:
        """Go on where another replay was, of the same policy and key; `saved` is all of it."""
        state = saved.state
        self._now_ms, self._ranks, self._first_hour = state.now_ms, dict(state.ranks), state.first_hour
        self.events, self.unapplied = state.events, state.unapplied
        if state.now_ms:
            self.shard.advance(state.now_ms)
        self._saved.restore(saved.values)
        self._kept.restore(saved.chunks)
        self.shard.restore((key, value) for key, value in saved.values.items() if value is not None)
        for number, position in state.positions.items():
            self.pass_over(number, position)
            self.shard.advance_source(number, position, None)

    @property
    def _kept(self) -> SavedChunks:
        assert self._chunks is not None, "only a replay that keeps its chunks is saved"
        return self._chunks

    def _save(self) -> None:
        """Have all that was applied in what is saved."""
        # The last hour began no later than any chart to come.
        self.flush(max(self._now_ms, self._hour_ms))
        self._saved.add(self.shard.flush())

    def _state(self, place: ReplayPlace) -> ReplayState:
        ranks = {hour: {key: dict(of) for key, of in known.items()} for hour, known in self._ranks.items()}
        return ReplayState(
            place, self._key.id, self._now_ms, self.positions, self.events, self.unapplied, self._first_hour, ranks
        )

    def pass_over(self, partition: int, position: int) -> None:
        """Take the events of a partition up to this position for applied: they are of no matter for charts to come."""
        self._sources[partition].apply(Batch(position, position + 1, (), (), ()))

    def advance(self, now_ms: int) -> None:
        """Have the windows end at this moment: all that the hub had taken before it is applied. Moments rise, and no
        hour is passed over in which an event was applied."""
        # An event that came just before the moment counts also for a day that is over with it.
        self.flush(now_ms - 1)
        for source in self._sources.values():
            source.at_end(now_ms + AT_END_MARGIN_MS)
        self.flush(now_ms)
        self.shard.advance(now_ms)
        self._now_ms = now_ms
        day = first_counted_hour(now_ms) // HOURS
        if day > self._first_day:
            # Of the days before the hours are dropped: nothing is known of them any more.
            self.shard.days.backlog.remove_before(day)
            self._first_day = day

    def charts(self, now_ms: int) -> dict[str, Chart]:
        """All charts that are not empty, by key, at the moment to which the windows were moved last."""
        merge = self._merge(now_ms)
        hour_before = now_ms // HOUR_MS - 1
        ranks = self._ranks.get(hour_before, {})
        compared = self._compared_with(hour_before)
        charts = {key: merge.chart(key, dict(ranks.get(key, {})), compared) for key in sorted(merge.keys())}
        return {key: chart for key, chart in charts.items() if chart.entries}

    def empty_chart(self, key: str, now_ms: int) -> Chart:
        """The chart of a key that has no entries, at the moment to which the windows were moved last."""
        chart = self._merge(now_ms).chart(key, {}, self._compared_with(now_ms // HOUR_MS - 1))
        return structs.replace(chart, entries=[])

    def snapshot(self, hour: int) -> dict[str, Chart]:
        """The charts at the first moment of an hour (UTC hours since 1970). Those of the next hour are compared with
        them."""
        self.advance(hour * HOUR_MS)
        charts = self.charts(hour * HOUR_MS)
        ranks = {key: {entry.song_id: entry.rank for entry in chart.entries} for key, chart in charts.items()}
        self._ranks = {number: known for number, known in self._ranks.items() if number == hour - 1} | {hour: ranks}
        return charts

    def _merge(self, now_ms: int) -> Merge:
        merge = Merge(1, self._policy)
        songs, tops = self.shard.report(whole=True)
        merge.apply(ReportPart(self.shard.number, True, True, songs, tops, self.shard.watermark(now_ms)))
        return merge

    def _compared_with(self, hour: int) -> datetime | None:
        """The moment of an hour's snapshot; None where nothing had come before it."""
        if self._first_hour is None or self._first_hour >= hour:
            return None
        return moment_at(hour * HOUR_MS)

    def flush(self, now_ms: int) -> None:
        """Have the shard count what was applied, at a moment that is no later than that of any chart to come."""
        self._waiting = 0
        oldest = first_counted_hour(now_ms)
        for source in self._sources.values():
            source.cells.drop_before(oldest)
            for hour in source.cells.missing():
                self._load(source, hour)
            changes = source.take_changes(now_ms)
            self.shard.count(source.number, changes.minutes, changes.hours, changes.facts)
            self.shard.advance_source(source.number, changes.position, changes.watermark_ms)
            if self._chunks is not None:
                self._chunks.add(changes.chunks)
            for hour in source.cells.loaded():
                if hour < oldest:
                    source.cells.unload(hour)
        if self._chunks is not None:
            self._chunks.drop_before(oldest)
            self._unload()

    def _load(self, source: SourcePartition, hour: int) -> None:
        cell = source.cells.new_cell(hour)
        if self._chunks is not None:
            cell.restore(decode_chunk(chunk) for chunk in self._chunks.of(source.number, hour))
        source.cells.add(cell)

    def _unload(self) -> None:
        """Unload the cells that were used longest ago while those in memory have too many actions: they are made again
        from their chunks."""
        chunks = self._chunks
        assert chunks is not None
        loaded = [
            (use.last_ms, hour, source.number)
            for source in self._sources.values()
            for hour, use in source.cells.loaded().items()
        ]
        room = LOADED_BYTES_MAX
        for _, hour, number in sorted(loaded, reverse=True):
            room -= chunks.size_bytes(number, hour)
            if room < 0:
                self._sources[number].cells.unload(hour)
