"""The worker's snapshots equal those of a replay, however its stages take turns at an hour's first moment."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.hour_cut import HourCut
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.wire import Partial, no_rows, pack
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.merge.hour_merges import HourMerge, HourMerges
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards import wire as reports
from songline.processors.trending.shards.hour_alignment import HOLD_MS, MOST_HELD, HourAlignment
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS, first_counted_hour
from songline.schemas.documents import Chart
from songline.schemas.envelope import encode
from songline.schemas.policy import ChartPolicy
from tests.support.history import HistoryEvent, random_history
from tests.support.trending import KEY
from tests.unit.history.test_chart_replay import BEGIN_S, act, random_policy, replayed
from tests.unit.trending.test_pipeline import PARTITIONS

HOUR = 495_000
FIRST_MS = HOUR * HOUR_MS


class Stages:
    """The stages of one worker over a history, without its hubs. Partitions in `late` are read `late_ms` later."""

    def __init__(
        self,
        random: Random,
        history: Sequence[HistoryEvent],
        policy: ChartPolicy,
        shards: int,
        begin_ms: int,
        late: Iterable[int] = (),
        late_ms: int = 0,
    ) -> None:
        songs, regions, users = SongIndex(shards), RegionIndex(), UserHashes()
        self.random = random
        self.late, self.late_ms = set(late), late_ms
        self.sources = {
            number: SourcePartition(number, "live", shards, songs, regions, users, KEY, -1, 0, policy)
            for number in range(PARTITIONS)
        }
        self.logs: dict[int, list[tuple[int, int, bytes]]] = {number: [] for number in range(PARTITIONS)}
        for one in history:
            logged_ms = one.second * 1_000 + random.randrange(1_000)
            self.logs[one.partition].append((one.position, logged_ms, encode(one.event)))
        for number, log in self.logs.items():
            rising = accumulate((ms for _, ms, _ in log), max)
            self.logs[number] = [(at, ms, body) for (at, _, body), ms in zip(log, rising, strict=True)]
        self.read = dict.fromkeys(range(PARTITIONS), 0)
        self.shards = [Shard(number, "live", KEY, policy) for number in range(shards)]
        self.alignments = [
            HourAlignment(begin_ms, shard.apply, partial(self._complete, shard)) for shard in self.shards
        ]
        self.live = Merge(shards, policy)
        self.hours = HourMerges(shards, policy)
        self.whole = True
        self.snapshots: dict[int, HourMerge] = {}

    def _complete(self, shard: Shard, hour: int) -> None:
        songs, tops, watermark = shard.lists_at(hour)
        for body in reports.report_bodies(shard.number, True, songs, tops, watermark, hour=hour):
            part = reports.decode(body)
            assert part.hour is not None
            self.hours.apply(part.hour, part, 0)
        self.whole = True

    def step(self, now_ms: int, *, reporting: bool = True) -> None:
        """What all stages do at a moment."""
        for number, source in self.sources.items():
            log, start = self.logs[number], self.read[number]
            seen_ms = now_ms - (self.late_ms if number in self.late else 0)
            end = start
            while end < len(log) and log[end][1] <= seen_ms:
                end += 1
            self.read[number] = end
            while start < end:
                size = self.random.randint(1, end - start)
                offsets, logged, bodies = zip(*log[start : start + size], strict=True)
                source.apply(Batch(offsets[0], offsets[-1] + 1, offsets, logged, bodies))
                start += size
            self._flush(number, source, now_ms, at_end_ms=seen_ms)
        for shard, alignment in zip(self.shards, self.alignments, strict=True):
            alignment.advance(now_ms)
            shard.advance(now_ms)
            if not reporting:
                continue
            songs, tops = shard.report(whole=self.whole)
            for body in reports.report_bodies(shard.number, self.whole, songs, tops, shard.watermark(now_ms)):
                self.live.apply(reports.decode(body))
        self.whole = self.whole and not reporting
        while (found := self.hours.complete()) is not None:
            self.hours.remove(found.hour)
            self.snapshots[found.hour] = found
        self.hours.expire(now_ms)

    def _flush(self, number: int, source: SourcePartition, now_ms: int, at_end_ms: int) -> None:
        source.await_hour(now_ms)
        source.at_end(at_end_ms)
        source.cells.drop_before(first_counted_hour(now_ms))
        for hour in source.cells.missing():
            source.cells.add(source.cells.new_cell(hour))
        if source.changed:
            for shard, body in source.flush(now_ms).partials:
                self.alignments[shard].take([partials.decode(body)], PARTITIONS, now_ms)


def moments(random: Random, history: Sequence[HistoryEvent], begin_s: int, end_s: int) -> list[int]:
    """When the stages take their turns: behind each event, and some seconds around each hour's first moment."""
    found = {one.second * 1_000 + 1_000 + random.randrange(2_000) for one in history} | {begin_s * 1_000}
    for hour in range(begin_s // 3_600, end_s // 3_600 + 1):
        found |= {hour * HOUR_MS + offset + random.randrange(500) for offset in (-700, 0, 600, 1_600, 2_600, 4_000)}
    return sorted(ms for ms in found if ms >= begin_s * 1_000)


def charts_of(found: HourMerge, ranks: dict[str, dict[str, int]], wanted: dict[str, Chart]) -> dict[str, Chart]:
    """The snapshots of an hour as they are written."""
    compared_with = next((one.compared_with for one in wanted.values()), None)
    charts = {key: found.merge.chart(key, ranks.get(key, {}), compared_with) for key in sorted(found.merge.keys())}
    return {key: chart for key, chart in charts.items() if chart.entries}


@effort(5)
@given(st.integers(0, 2**32 - 1))
def test_snapshots_equal_those_of_a_replay(seed: int) -> None:
    random = Random(seed)
    policy, _ = random_policy(random)
    history = random_history(random, BEGIN_S, random.choice([1, 40, 80]), act)
    history = [one for one in history if one.second < BEGIN_S + 15 * 3_600]
    end_s = max((one.second for one in history), default=BEGIN_S) + 7_200
    shards = random.choice([1, 2, 5])
    late = random.sample(range(PARTITIONS), random.choice([0, 1]))
    stages = Stages(random, history, policy, shards, BEGIN_S * 1_000, late, random.choice([900, 3_000]))
    for now_ms in moments(random, history, BEGIN_S, end_s):
        stages.step(now_ms, reporting=random.random() < 0.2)

    replay, _ = asyncio.run(replayed(random, history, end_s, policy))
    wanted = {one.hour: one.charts for one in replay}
    hours = range((BEGIN_S + 60) // 3_600 + 1, end_s // 3_600 + 1)
    assert sorted(stages.snapshots) == list(hours)
    ranks: dict[str, dict[str, int]] = {
        key: {entry.song_id: entry.rank for entry in chart.entries}
        for key, chart in wanted.get(hours[0] - 1, {}).items()
    }
    for hour in hours:
        charts = charts_of(stages.snapshots[hour], ranks, wanted.get(hour, {}))
        assert charts == wanted.get(hour, {}), hour
        ranks = {key: {one.song_id: one.rank for one in chart.entries} for key, chart in charts.items()}
    # What waited is counted as well.
    for number, log in stages.logs.items():
        assert not log or stages.sources[number].position == log[-1][0]


def test_a_partition_that_is_too_late_costs_the_snapshot_and_nothing_else() -> None:
    random = Random(5)
    history = [one for one in random_history(random, BEGIN_S, 60, act) if one.second < BEGIN_S + 9 * 3_600]
    end_s = history[-1].second + 7_200
    policy, _ = random_policy(random)
    in_time = Stages(random, history, policy, 2, BEGIN_S * 1_000)
    too_late = Stages(random, history, policy, 2, BEGIN_S * 1_000, late=[1], late_ms=HOLD_MS + 20_000)
    last_ms = end_s * 1_000 + 120_000
    for now_ms in [*moments(random, history, BEGIN_S, end_s), last_ms, last_ms + 1_000, last_ms + 2_000]:
        in_time.step(now_ms)
        too_late.step(now_ms)
    assert in_time.snapshots
    assert not too_late.snapshots
    for key in sorted(in_time.live.keys() | too_late.live.keys()):
        first, second = in_time.live.chart(key, {}), too_late.live.chart(key, {})
        assert (first.entries, first.position) == (second.entries, second.position)


def batch(begin: int, *logged_ms: int) -> Batch:
    offsets = list(range(begin, begin + len(logged_ms)))
    return Batch(begin, begin + len(logged_ms), offsets, logged_ms, [b""] * len(logged_ms))


def test_a_batch_is_cut_at_the_hour_and_what_is_behind_it_waits_in_order() -> None:
    cut = HourCut()
    assert cut.before(batch(0, FIRST_MS)) == batch(0, FIRST_MS), "no hour is awaited before it is known which one"
    list(cut.advance(FIRST_MS - 10 * MINUTE_MS))
    assert cut.hour == HOUR
    assert cut.before(batch(1, FIRST_MS - 2, FIRST_MS - 1)) is not None
    assert cut.before(batch(3, FIRST_MS - 1, FIRST_MS, FIRST_MS - 1)) == batch(3, FIRST_MS - 1)
    assert cut.before(batch(6, FIRST_MS - 1)) is None, "a clock that goes back brings nothing before what waits"
    waiting = list(cut.pass_on(FIRST_MS + 100))
    assert [one.begin for one in waiting] == [4, 6]
    assert cut.hour == HOUR + 1
    assert not cut.waits


def test_no_hour_is_awaited_that_an_owner_before_may_have_counted() -> None:
    cut = HourCut()
    list(cut.advance(FIRST_MS - MINUTE_MS + 1))
    assert cut.hour == HOUR + 1
    missed = HourCut()
    list(missed.advance(FIRST_MS - 2 * MINUTE_MS))
    assert missed.before(batch(0, FIRST_MS)) is None
    assert list(missed.advance(FIRST_MS + MINUTE_MS - 1)) == []
    assert list(missed.advance(FIRST_MS + MINUTE_MS)) == [batch(0, FIRST_MS)]
    assert missed.hour == HOUR + 1


@pytest.mark.parametrize(("logged_ms", "hour"), [(FIRST_MS - MINUTE_MS, HOUR), (FIRST_MS, HOUR + 1)])
def test_an_hour_is_met_though_a_clock_was_beyond_it_before(logged_ms: int, hour: int) -> None:
    cut = HourCut()
    list(cut.advance(FIRST_MS - 10 * MINUTE_MS))
    list(cut.advance(FIRST_MS + 20 * MINUTE_MS))
    assert cut.hour == HOUR + 1
    assert cut.before(batch(0, logged_ms)) is not None
    list(cut.advance(FIRST_MS - 9 * MINUTE_MS))
    assert cut.hour == hour, "none is met of which an event is counted"
    assert cut.before(batch(1, hour * HOUR_MS)) is None
    list(cut.advance(FIRST_MS - 2 * HOUR_MS))
    assert (cut.hour, cut.waits) == (hour, True), "what waits is in front of no other one"


def test_a_source_claims_nothing_that_a_clock_said_before_it_was_set_back() -> None:
    source = SourcePartition(0, "live", 1, SongIndex(1), RegionIndex(), UserHashes(), KEY, -1)

    def flush(now_ms: int, polled_ms: int | None) -> int | None:
        source.await_hour(now_ms)
        if polled_ms is not None:
            source.at_end(polled_ms)
        (found,) = (partials.decode(body).watermark_ms for _, body in source.flush(now_ms).partials)
        return found

    ahead_ms = FIRST_MS + 40 * MINUTE_MS
    assert flush(ahead_ms, ahead_ms) == ahead_ms - 1_000
    # It is not at its end now: much may have come since.
    assert flush(FIRST_MS + MINUTE_MS, None) is None
    assert flush(FIRST_MS + MINUTE_MS, FIRST_MS) == FIRST_MS - 1_000


def message(partition: int, hour: int | None = None) -> Partial:
    nothing = pack(no_rows(), SongIndex(1))
    return Partial(partition, 0, None, nothing, nothing, [], hour)


class Alignment:
    """An alignment of two partitions; `seen` has what was applied, and the hours that were complete."""

    def __init__(self, begin_ms: int = FIRST_MS - HOUR_MS) -> None:
        self.seen: list[str] = []
        self.alignment = HourAlignment(
            begin_ms,
            lambda *some: self.seen.extend(str(one.partition) for one in some),
            lambda hour: self.seen.append(f"hour {hour}"),
        )

    def take(self, now_ms: int, *messages: Partial) -> "Alignment":
        for one in messages:
            self.alignment.take([one], 2, now_ms)
        return self


def test_what_is_beyond_the_hour_waits_for_the_others() -> None:
    found = Alignment().take(FIRST_MS + 500, message(0, HOUR), message(0), message(1), message(0))
    assert found.seen == ["0", "1"]
    found.take(FIRST_MS + 900, message(1, HOUR))
    assert found.seen == ["0", "1", "1", f"hour {HOUR}", "0", "0"]
    assert not found.alignment.waits
    found.take(FIRST_MS + 900, message(0, HOUR), message(1, HOUR), message(0))
    assert found.seen[-3:] == ["0", "1", "0"], "an hour is met once"


def test_messages_that_come_together_wait_one_by_one() -> None:
    found = Alignment().take(FIRST_MS + 500, message(0, HOUR))
    found.alignment.take([message(0), message(1, HOUR)], 2, FIRST_MS + 900)
    assert found.seen == ["0", "1", f"hour {HOUR}", "0"]
    found = Alignment()
    found.alignment.take([message(1, HOUR), message(0, HOUR)], 2, FIRST_MS + 500)
    assert found.seen == ["1", "0", f"hour {HOUR}"]


def test_nothing_waits_for_long() -> None:
    late = Alignment().take(FIRST_MS + 500, message(0, HOUR), message(0))
    late.alignment.advance(FIRST_MS + 500 + HOLD_MS)
    assert late.seen == ["0"]
    late.alignment.advance(FIRST_MS + 501 + HOLD_MS)
    assert late.seen == ["0", "0"]
    late.take(FIRST_MS + 30_000, message(1, HOUR))
    assert late.seen == ["0", "0", "1"], "what was counted is beyond the hour"

    many = Alignment().take(FIRST_MS, message(0, HOUR), *[message(0)] * (MOST_HELD + 1))
    assert len(many.seen) == MOST_HELD + 2


def test_hours_of_another_time_are_not_met() -> None:
    for hour, begin_ms, now_ms in (
        (HOUR, FIRST_MS - MINUTE_MS + 1, FIRST_MS),
        (HOUR, FIRST_MS - HOUR_MS, FIRST_MS + MINUTE_MS),
        (HOUR + 1, FIRST_MS - HOUR_MS, FIRST_MS),
    ):
        found = Alignment(begin_ms).take(now_ms, message(0, hour), message(0), message(1, hour))
        assert found.seen == ["0", "0", "1"]
