"""Sums of windows and of songs' days are those of whole numbers without an end, however large they are."""

from collections import Counter
from math import inf, nan
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.validation import check_partial
from songline.processors.trending.cells.wire import CountSection, Partial
from songline.processors.trending.count_table import KINDS, LIKES, LISTENS, UNLIKES, CountTable
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards import wire as reports
from songline.processors.trending.shards.counts import BucketKey, TableRows
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.top_k import top_k
from songline.processors.trending.shards.validation import check_report_part
from songline.processors.trending.shards.window_sums import SHOWN_KINDS, Increase, WindowSums
from songline.processors.trending.shards.windows import ShardWindows
from songline.processors.trending.shards.wire import MAX_WHOLE_SCORE, ReportPart, TopK
from songline.processors.trending.song_index import SongIndex, pair
from songline.processors.trending.spans import SPANS
from songline.processors.trending.validation import StageLimits
from songline.schemas.documents import CHART_SIZE
from songline.schemas.errors import PoisonError
from songline.schemas.policy import SCALE_BITS, V1, ChartPolicy, HalfLives, Weights
from tests.support.trending import KEY
from tests.unit.trending.test_validation import HOUR, LIMITS, NOW_MS, rows

MOST = 2**31 - 1
"""The greatest count of a message."""
SONGS, REGIONS = 4, 3
HEAVY = ChartPolicy("heavy", 1, V1.listen, Weights(100, 100), HalfLives(50, 50, 50, 1_000))
WEEK = SPANS["7d"].buckets
NEW = np.array([1 << SCALE_BITS])
"""The weight of a new bucket."""

ages = st.integers(0, WEEK - 1)
counts = st.one_of(st.integers(0, 9), st.sampled_from([255, 65_536, 10_000_000, 2**30, MOST]))
tables = st.tuples(
    ages, st.dictionaries(st.tuples(st.integers(0, SONGS - 1), st.integers(0, REGIONS - 1)), st.tuples(*[counts] * 3))
)
Table = tuple[int, dict[tuple[int, int], tuple[int, int, int]]]


def filled(found: list[Table], policy: ChartPolicy, signs: list[int]) -> ShardWindows:
    """Windows of the tables, each so often added as `signs` say, or taken away."""
    index = RowIndex()
    index.of(pair(np.repeat(np.arange(SONGS), REGIONS), np.tile(np.arange(REGIONS), SONGS)))
    windows = ShardWindows(policy, index)
    windows.slide("hour", HOUR, [])
    for (age, table), sign in zip(found, signs, strict=True):
        numbers = np.array([song * REGIONS + region for song, region in table], np.int64)
        three = sign * np.array(list(table.values()), np.int64).reshape(-1, KINDS)
        windows.add_tables([TableRows(BucketKey("hour", HOUR - age, 0), numbers, three)])
    return windows


@given(st.lists(tables, max_size=12), st.sampled_from([V1, HEAVY]), st.randoms(use_true_random=False))
@example([(0, {(0, 0): (0, 0, MOST)}), (0, {(0, 1): (0, MOST, 0)})] * 9, HEAVY, Random(0))
def test_sums_are_those_of_numbers_without_an_end(found: list[Table], policy: ChartPolicy, random: Random) -> None:
    weights = policy.bucket_weights("7d", WEEK)
    listens, likes, scores = Counter[object](), Counter[object](), Counter[object]()
    signs = [random.choice([1, 1, -1]) for _ in found]
    for (age, table), sign in zip(found, signs, strict=True):
        for (song, region), three in table.items():
            points = policy.weights.listen * three[LISTENS] + policy.weights.like * (three[LIKES] - three[UNLIKES])
            for key in (song, (song, region)):
                listens[key] += sign * three[LISTENS]
                likes[key] += sign * three[LIKES]
                scores[key] += sign * weights[age] * points
    window = filled(found, policy, signs)._windows["7d"]
    for sums, keys in (
        (window.songs, list[object](range(SONGS))),
        (window.rows, [(song, region) for song in range(SONGS) for region in range(REGIONS)]),
    ):
        at = np.arange(min(len(keys), len(sums.scores)))
        keys = keys[: len(at)]
        assert sums.counts[at].tolist() == [[listens[key], likes[key]] for key in keys]
        assert sums.exact_scores(at) == [scores[key] for key in keys]
        bounds = np.iinfo(np.int64)
        assert sums.capped_scores(at).tolist() == [min(max(scores[key], bounds.min), bounds.max) for key in keys]


@given(st.lists(tables, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_they_are_the_same_in_any_order(found: list[Table], random: Random) -> None:
    other = random.sample(found, len(found))
    one, two = (filled(some, HEAVY, [1] * len(some))._windows["7d"].songs for some in (found, other))
    at = np.arange(min(len(one.scores), len(two.scores)))
    assert one.exact_scores(at) == two.exact_scores(at)
    assert one.counts[at].tolist() == two.counts[at].tolist()


def sizes(sums: WindowSums) -> tuple[str, bool]:
    return str(sums.counts.dtype), sums._about is not None


def test_many_songs_take_no_more_bits_than_few() -> None:
    """Only what one song has does."""
    index = RowIndex()
    numbers = index.of(pair(np.arange(5_000), np.ones(5_000, np.int64)))
    windows = ShardWindows(V1, index)
    windows.slide("hour", HOUR, [])
    for age in range(3):
        for some in np.split(numbers, 20):
            three = np.full((len(some), KINDS), [1_000_000, 0, 0])
            windows.add_tables([TableRows(BucketKey("hour", HOUR - age, 0), some, three)])
    week = windows._windows["7d"]
    assert int(week.songs.counts.sum(dtype=np.int64)) > 2 * MOST
    assert sizes(week.songs) == sizes(week.rows) == ("int32", False)


def test_a_window_that_is_filled_anew_takes_no_more_bits_than_it_needs() -> None:
    windows = filled([(1, {(0, 0): (MOST, 0, 0)}), (2, {(0, 1): (MOST, 0, 0)})], HEAVY, [1, 1])
    week = windows._windows["7d"]
    assert sizes(week.songs) == ("int64", True)
    windows.slide("hour", HOUR + 1, [TableRows(BucketKey("hour", HOUR, 0), np.array([0]), np.array([[7, 0, 0]]))])
    assert sizes(week.songs) == sizes(week.rows) == ("int32", False)
    assert week.songs.counts[0].tolist() == [7, 0]


@given(st.lists(st.lists(st.integers(0, 2**37), max_size=3), min_size=1, max_size=2 * CHART_SIZE))
def test_the_top_list_of_large_scores_is_that_of_sorting(points: list[list[int]]) -> None:
    sums = WindowSums()
    sums.make_room(len(points))
    expected = []
    for song, of_song in enumerate(points):
        for some in of_song:
            more = Increase(np.zeros((1, SHOWN_KINDS), np.int32), np.array([some]), 0, some)
            sums.add(np.array([song]), more, NEW, NEW * more.points)
        expected.append(sum(of_song) << SCALE_BITS)
    songs = np.arange(len(points))
    names = [f"song-{song * 7 % len(points)}-{song}" for song in songs.tolist()]
    found = top_k("trending", sums, songs, songs, names, np.ones(len(points), np.bool_))
    ranked = sorted((-score, names[song]) for song, score in enumerate(expected) if score)[:CHART_SIZE]
    assert found.song == [name for _, name in ranked]
    assert found.value == [-score if -score <= MAX_WHOLE_SCORE else float(-score) for score, _ in ranked]


def message(section: CountSection, partition: int = 0) -> Partial:
    """A message of hours, as a shard takes it."""
    nothing = CountSection([], b"", b"", b"", b"")
    body = msgspec.msgpack.encode(Partial(partition, 3, NOW_MS, nothing, section, []))
    found = partials.decode(body)
    check_partial(found, 0, LIMITS, SongIndex())
    return found


def chart_of(shard: Shard, key: str) -> list[tuple[str, int, int, float]]:
    """Song, listens, likes and score of each line of a chart, by a report of the shard to the merge."""
    songs, tops = shard.report(whole=True)
    merge = Merge(1)
    for body in reports.report_bodies(0, True, songs, tops, shard.watermark(NOW_MS)):
        part = reports.decode(body)
        check_report_part(part, LIMITS)
        merge.apply(part)
    return [(one.song_id, one.listens, one.likes, one.score) for one in merge.chart(key, {}).entries]


def test_a_song_of_very_many_listens_is_above_the_others() -> None:
    """Forty million listens in a week, a hundred points each, and more listens than 31 bits hold."""
    shard = Shard(0, "owner", KEY, HEAVY)
    shard.advance(NOW_MS)
    of_song = {"song-1": 20_000_000, "song-2": 250_000, "song-3": 1}
    for age in range(WEEK):
        shard.apply(message(rows(*[(song, 1, HOUR - age, (count, 0, 0)) for song, count in of_song.items()])))
    score = 100 * sum(HEAVY.bucket_weights("7d", WEEK))
    expected = [(song, WEEK * count, 0, count * score / 2**SCALE_BITS) for song, count in of_song.items()]
    assert WEEK * of_song["song-1"] > MOST
    assert WEEK * of_song["song-2"] == 42_000_000
    assert chart_of(shard, "trending:7d:global") == expected
    assert [line[:3] for line in chart_of(shard, "top:7d:global")] == [line[:3] for line in expected]


def test_a_message_with_the_greatest_counts_keeps_no_song_out_of_the_charts() -> None:
    shard = Shard(0, "owner", KEY, HEAVY)
    shard.advance(NOW_MS)
    forged = rows(*[("song-1", region, HOUR - age, (MOST, 0, 0)) for region in range(1, 40) for age in range(30)])
    liked = rows(*[("song-3", region, HOUR, (0, 0, MOST)) for region in range(1, 40)])
    for partition in range(3):
        shard.apply(message(forged, partition), message(liked, partition + 3))
    shard.apply(message(rows(("song-2", 1, HOUR, (5, 2, 0))), 6))
    listens = MOST * 3 * 39 * 30
    score = 100 * MOST * 3 * 39 * sum(HEAVY.bucket_weights("7d", WEEK)[:30])
    for chart in ("trending:7d:global", "top:7d:global"):
        lines = chart_of(shard, chart)
        assert [line[:3] for line in lines] == [("song-1", listens, 0), ("song-2", 5, 2)]
        if chart.startswith("trending"):
            assert [line[3] for line in lines] == [score / 2**SCALE_BITS, 700.0]


def test_a_songs_day_has_all_counts_of_an_hour() -> None:
    shard = Shard(0, "owner", KEY)
    shard.advance(NOW_MS)
    for partition in range(3):
        shard.apply(message(rows(*[("song-1", region, HOUR, (MOST, 1, 0)) for region in (1, 2)]), partition))
    (day,) = shard.days.due(10)
    assert (max(day.listens), max(day.likes), day.total) == (6 * MOST, 6, 6 * MOST + 6)


def test_a_table_holds_counts_of_any_size() -> None:
    table = CountTable()
    one = np.array([7])
    expected = np.zeros(KINDS, np.int64)
    for more in (200, 70_000, MOST, MOST, 2**40):
        three = np.array([[more, 1, 0]])
        expected += three[0]
        assert table.add(one, three).tolist() == [expected.tolist()]
        assert table.of(7).tolist() == expected.tolist()
    table.add(one, np.array([[-int(expected[0]), 0, 0]]))
    assert table.of(7).tolist() == [0, 5, 0]


@pytest.mark.parametrize("value", [nan, inf, -1.0, 0.5, 2.0**62, 2.0**101, 2**63, -1])
def test_no_other_values_than_a_shard_has_are_taken(value: float) -> None:
    top = TopK(["song-1"], [1], [0], [value])
    part = reports.decode(msgspec.msgpack.encode(ReportPart(0, True, True, [], {"trending:1h:global": top}, None)))
    with pytest.raises(PoisonError, match="value is"):
        check_report_part(part, StageLimits(1, 4, NOW_MS))


@pytest.mark.parametrize("value", [0, 1, MAX_WHOLE_SCORE, 2.0**63, 2.0**98])
def test_the_values_of_a_shard_are_taken(value: float) -> None:
    top = TopK(["song-1"], [1], [0], [value])
    part = reports.decode(msgspec.msgpack.encode(ReportPart(0, True, True, [], {"trending:1h:global": top}, None)))
    check_report_part(part, StageLimits(1, 4, NOW_MS))
    assert part.tops["trending:1h:global"].value == [value]
