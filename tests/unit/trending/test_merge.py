"""What random runs seldom hit: charts that vanish, saves that are done with, facts that come out of turn."""

import numpy as np

from songline.processors.trending.cells.wire import CountRows, Partial, SongFact, decode, partial_bodies
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards.song_facts import SongFacts
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.song_index import RegionIndex, SongIndex, pair
from songline.processors.trending.watermark import ShardWatermark
from tests.support.trending import KEY as SETS

NOW_MS = 1_795_355_010_000
DAY_MS = 86_400_000
KEY = "top:1h:global"


def report(tops: dict[str, TopK]) -> ReportPart:
    songs = [SongLabel("s", None, None, None)]
    return ReportPart(
        shard=0, first=True, whole=True, songs=songs, tops=tops, watermark=ShardWatermark(NOW_MS, {0: 1}, {0: NOW_MS})
    )


def test_a_chart_that_is_empty_now_is_written_once_more() -> None:
    merge = Merge(1)
    merge.apply(report({KEY: TopK(["s"], [1], [0], [1])}))
    merge.changed.clear()
    merge.apply(report({}))
    assert merge.changed == {KEY}
    assert merge.chart(KEY, {}).entries == []


def test_reports_without_their_first_part_are_not_used() -> None:
    merge = Merge(1)
    merge.apply(
        ReportPart(shard=0, first=False, whole=True, songs=[], tops={}, watermark=ShardWatermark(NOW_MS, {}, {}))
    )
    assert not merge.ready


def test_what_no_window_can_show_is_deleted_from_the_save() -> None:
    shard = Shard(0, "owner", SETS)
    shard.advance(NOW_MS)
    shard.apply(one_listen())
    saved = {key for key in shard.flush() if "/hour/" in key or "/minute/" in key}
    assert len(saved) == 2
    shard.advance(NOW_MS + 8 * DAY_MS)
    assert {key for key, value in shard.flush().items() if value is None} == saved


def test_an_older_fact_of_a_partition_changes_nothing() -> None:
    facts = SongFacts(SETS)
    assert facts.learn(0, SongFact("s", NOW_MS, 7, False, "New", "A", "rock"))
    assert not facts.learn(0, SongFact("s", NOW_MS + 1, 6, False, "Old", "A", "jazz"))
    held = facts.of("s")
    assert held is not None
    assert held.title == "New"


def test_between_partitions_the_later_event_holds() -> None:
    facts = SongFacts(SETS)
    facts.learn(1, SongFact("s", NOW_MS + 1, 1, True))
    facts.learn(0, SongFact("s", NOW_MS, 9, False, "One", "A"))
    assert facts.removed("s")


def one_listen() -> Partial:
    songs = SongIndex()
    key = pair(songs.numbers(["s"]), np.array([RegionIndex()["DE"]]))
    counts = np.array([[1, 0, 0]])
    rows = {unit: CountRows(key, np.array([NOW_MS // length]), counts) for unit, length in LENGTHS.items()}
    (body,) = partial_bodies(0, 0, NOW_MS, {"minute": rows["minute"], "hour": rows["hour"]}, [], songs)
    return decode(body)


LENGTHS = {"minute": 60_000, "hour": 3_600_000}


def test_a_report_of_global_lists_claims_nothing_of_the_others() -> None:
    """Their charts are as of the last report that had them, whatever was applied since."""
    merge = Merge(1)
    regional = "top:1h:region:DE"
    merge.apply(report({KEY: TopK(["s"], [1], [0], [1]), regional: TopK(["s"], [1], [0], [1])}))
    later = ShardWatermark(NOW_MS + 500, {0: 2}, {0: NOW_MS + 500})
    tops = {KEY: TopK(["s"], [2], [0], [2])}
    merge.apply(ReportPart(shard=0, first=True, whole=False, songs=[], tops=tops, watermark=later, scoped=False))
    assert merge.ready
    assert [merge.chart(key, {}).position for key in (KEY, regional)] == [{"0": 2}, {"0": 1}]
    assert merge.chart(regional, {}).as_of < merge.chart(KEY, {}).as_of
