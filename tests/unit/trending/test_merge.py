"""What random runs seldom hit: charts that vanish, saves that are done with, facts that come out of turn."""

import numpy as np
from msgspec import structs

from songline.processors.trending.cells.wire import CountRows, Partial, SongFact, decode, partial_bodies
from songline.processors.trending.merge.state import OWNER_MS, Merge
from songline.processors.trending.shards.song_facts import SongFacts
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.song_index import RegionIndex, SongIndex, pair
from songline.processors.trending.watermark import ShardWatermark
from tests.support.trending import KEY as SETS

NOW_MS = 1_795_355_010_000
DAY_MS = 86_400_000
KEY = "top:1h:global"


def part_of(owner: str, position: int, seconds: int, listens: int = 0, *, whole: bool = True) -> ReportPart:
    """A report of an owner of the shard, so much later; its chart has a song with so many listens, or is left out."""
    return ReportPart(
        shard=0,
        first=True,
        whole=whole,
        songs=[SongLabel("s", owner, None, None)],
        tops={KEY: TopK(["s"], [listens], [0], [listens])} if listens else {},
        watermark=ShardWatermark(NOW_MS + 1_000 * seconds, {0: position}, {0: None}),
        owner=owner,
    )


def shown(merge: Merge) -> tuple[int, str | None, dict[str, int]]:
    """The listens and the title of the chart's song, and the chart's positions."""
    chart = merge.chart(KEY, {})
    return chart.entries[0].listens, chart.entries[0].title, dict(chart.position)


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


def test_what_an_owner_reports_that_was_stopped_changes_nothing() -> None:
    """It does not know yet that it has lost the shard. What its successor reports after that has what is new alone."""
    merge = Merge(1)
    merge.apply(part_of("stopped", 5, 0, 5))
    merge.apply(part_of("next", 7, 40, 7))
    merge.changed.clear()
    for late in (part_of("stopped", 5, 41, 5, whole=False), part_of("stopped", 5, 42, 5)):
        merge.apply(late)
        assert (shown(merge), merge.changed) == ((7, "next", {"0": 7}), set())
    merge.apply(part_of("next", 8, 43, whole=False))
    assert (shown(merge), merge.changed) == ((7, "next", {"0": 8}), set())


def test_parts_of_two_owners_are_told_apart() -> None:
    merge = Merge(1)
    merge.apply(structs.replace(part_of("next", 7, 0, 7), watermark=None))
    merge.apply(part_of("stopped", 5, 0, 5))
    merge.apply(structs.replace(part_of("next", 7, 0), first=False, songs=[]))
    assert shown(merge) == (7, "next", {"0": 7})
    assert merge.places == {(0, "next"), (0, "stopped")}


def test_a_successor_is_shown_once_it_has_what_was_shown_before_it() -> None:
    """It goes on from what was saved, which is less than was counted."""
    merge = Merge(1)
    merge.apply(part_of("killed", 9, 0, 9))
    merge.apply(part_of("next", 6, 5, 6))
    merge.changed.clear()
    merge.apply(part_of("next", 8, 6, 8, whole=False))
    assert (shown(merge), merge.changed) == ((9, "killed", {"0": 9}), set())
    merge.apply(part_of("next", 9, 7, 9, whole=False))
    assert (shown(merge), merge.changed) == ((9, "next", {"0": 9}), {KEY})


def test_a_successor_that_can_not_get_so_far_is_shown_after_a_minute() -> None:
    """The hub between the stages was made anew, and nothing comes in."""
    merge = Merge(1)
    merge.apply(part_of("killed", 9, 0, 9))
    merge.apply(part_of("next", 6, 59, 6))
    assert shown(merge) == (9, "killed", {"0": 9})
    merge.changed.clear()
    merge.apply(part_of("next", 6, 60, whole=False))
    assert (shown(merge), merge.changed) == ((6, "next", {"0": 6}), {KEY})
    assert merge.places == {(0, "next")}


def test_an_owner_whose_clock_was_ahead_is_followed_by_the_next_one() -> None:
    """Its clock was set right before the next one began, or it was no owner: what counts is when reports came."""
    merge = Merge(1)
    merge.apply(part_of("ahead", 9, 3_600, 9), NOW_MS)
    merge.apply(part_of("next", 6, 59, 6), NOW_MS + OWNER_MS - 1)
    assert shown(merge) == (9, "ahead", {"0": 9})
    merge.apply(part_of("next", 7, 60, 7, whole=False), NOW_MS + OWNER_MS)
    assert shown(merge) == (7, "next", {"0": 7})
    assert merge.places == {(0, "next")}


def test_a_late_report_of_an_earlier_moment_ends_no_owner() -> None:
    merge = Merge(1)
    merge.apply(part_of("next", 7, 600, 7), NOW_MS + 600_000)
    merge.apply(part_of("stopped", 5, 0, 5), NOW_MS + 600_001)
    assert shown(merge) == (7, "next", {"0": 7})


def test_a_clock_that_is_set_back_lets_no_owner_stay() -> None:
    """Moments of the hub that are later than this machine's are taken for its own."""
    merge = Merge(1)
    merge.apply(part_of("killed", 9, 0, 9), NOW_MS)
    merge.apply(part_of("next", 6, -3_600, 6), NOW_MS - 3_600_000)
    assert shown(merge) == (6, "next", {"0": 6})


def test_a_report_that_its_owner_has_not_completed_is_not_kept_for_ever() -> None:
    merge = Merge(1)
    merge.apply(structs.replace(part_of("killed", 7, 0, 7), watermark=None), NOW_MS)
    merge.apply(part_of("next", 7, 59, 7), NOW_MS + OWNER_MS - 1)
    assert merge.places == {(0, "killed"), (0, "next")}
    merge.apply(part_of("next", 8, 60, whole=False), NOW_MS + OWNER_MS)
    assert merge.places == {(0, "next")}
    merge.apply(structs.replace(part_of("killed", 9, 61), first=False), NOW_MS + OWNER_MS + 1)
    assert shown(merge) == (7, "next", {"0": 8})
