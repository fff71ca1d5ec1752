"""The parts of a shard by themselves: counts, saved keys, top lists, and reports of what is new."""

from collections.abc import Iterator
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.trending.cells.wire import ROWS, CountRows, CountSection, Partial, SongFact, no_rows, pack
from songline.processors.trending.count_table import KINDS, LISTENS
from songline.processors.trending.merge.chart_ranking import ShardList, rank
from songline.processors.trending.shards import counts as counting
from songline.processors.trending.shards import saved_tables
from songline.processors.trending.shards.counts import BucketKey, ShardCounts
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.shards.saved_keys import SavedKeys
from songline.processors.trending.shards.shard_report import ReportedLists
from songline.processors.trending.shards.song_genres import SongGenres
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.top_k import top_k
from songline.processors.trending.shards.window_sums import WindowSums
from songline.processors.trending.shards.windows import ShardWindows
from songline.processors.trending.shards.wire import SongLabel, TopK
from songline.processors.trending.song_index import REGION_BITS, Ints, SongIndex
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS, Unit
from songline.processors.trending.watermark import SourceWatermarks
from songline.schemas.documents import CHART_SIZE, UNKNOWN_GENRE
from songline.schemas.ownership import Claim
from songline.schemas.policy import SCALE_BITS
from tests.support.trending import KEY

NOW_MS = 495_000 * HOUR_MS
small = st.integers(0, 3)
reports = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 4), small), max_size=12)


def rows(*found: tuple[int, int, int]) -> CountRows:
    """Rows of (pair, bucket, listens)."""
    pairs, buckets, listens = (np.array(column, np.int64) for column in zip(*found, strict=True))
    counts = np.zeros((len(found), KINDS), np.int64)
    counts[:, LISTENS] = listens
    return CountRows(pairs, buckets, counts)


def raised(
    counts: ShardCounts, unit: Unit, source: int, *found: tuple[int, int, int]
) -> Iterator[counting.BucketIncrease]:
    """Counts raised to rows of one source."""
    return counts.raise_to(unit, np.full(len(found), source), rows(*found))


@given(reports)
def test_increases_add_up_to_the_greatest_report_of_each_source(found: list[tuple[int, int, int, int]]) -> None:
    counts = ShardCounts(RowIndex())
    sums: dict[tuple[int, int, int], int] = {}
    greatest: dict[tuple[int, int, int], int] = {}
    for pair, source, bucket, listens in found:
        key = (pair, source, bucket)
        greatest[key] = max(greatest.get(key, 0), listens)
        for increase in raised(counts, "minute", source, (pair, bucket, listens)):
            assert increase.bucket == bucket
            assert increase.rose.tolist() == (increase.more.sum(axis=1) > 0).tolist()
            sums[key] = sums.get(key, 0) + int(increase.more[0, LISTENS])
    assert sums == greatest
    saved = {
        (int(pair), one.bucket.source, one.bucket.bucket): int(three[LISTENS])
        for one in counts.unsaved()
        for pair, three in zip(one.rows.pair, one.rows.counts, strict=True)
    }
    # A table is saved as a whole piece, rows that never rose included.
    assert {key: count for key, count in saved.items() if count} == {k: n for k, n in greatest.items() if n}
    assert list(counts.unsaved()) == []


def pairs_of(found: list[tuple[int, int]]) -> Ints:
    """The integers of songs and regions."""
    return np.array([song << REGION_BITS | region for song, region in found], np.int64)


@given(st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), unique=True), max_size=6))
def test_rows_keep_their_numbers_and_tell_what_they_are_of(found: list[list[tuple[int, int]]]) -> None:
    index, known = RowIndex(), dict[tuple[int, int], int]()
    for some in found:
        numbers = index.of(pairs_of(some))
        for one, number in zip(some, numbers.tolist(), strict=True):
            assert known.setdefault(one, len(known)) == number
    numbers = np.arange(len(index))
    assert list(zip(index.songs(numbers).tolist(), index.regions(numbers).tolist(), strict=True)) == list(known)
    assert index.pairs(numbers).tolist() == pairs_of(list(known)).tolist()
    by_region = {region: [known[one] for one in known if one[1] == region] for _, region in known}
    assert {region: rows.tolist() for region, rows in index.by_region().items()} == by_region


def test_a_bucket_that_is_over_is_dropped_once_and_takes_nothing_more() -> None:
    counts = ShardCounts(RowIndex())
    assert counts.advance("minute", 100) == []
    assert len(list(raised(counts, "minute", 0, (1, 100, 2)))) == 1
    assert counts.advance("minute", 100) is None, "no newer bucket"
    assert counts.advance("minute", 160) == [BucketKey("minute", 100, 0)]
    assert counts.is_over("minute", 100)
    assert list(raised(counts, "minute", 0, (1, 100, 9))) == []
    assert list(counts.unsaved()) == []


def test_pieces_are_of_so_many_rows_and_only_changed_ones_are_saved() -> None:
    counts = ShardCounts(RowIndex())
    list(raised(counts, "hour", 0, *((pair, 5, 1) for pair in range(ROWS + 1))))
    assert [(piece, len(found)) for _, piece, found in counts.unsaved()] == [(0, ROWS), (1, 1)]
    list(raised(counts, "hour", 0, (7, 5, 2), (8, 5, 2)))
    assert [(piece, len(found)) for _, piece, found in counts.unsaved()] == [(None, 2)]
    list(raised(counts, "hour", 0, (7, 5, 2)))
    assert list(counts.unsaved()) == [], "nothing rose"


def test_a_small_piece_is_written_as_a_whole() -> None:
    counts = ShardCounts(RowIndex())
    list(raised(counts, "hour", 0, *((pair, 5, 1) for pair in range(ROWS + 1))))
    assert len(list(counts.unsaved())) == 2
    list(raised(counts, "hour", 0, (ROWS, 5, 2)))
    assert [(piece, len(found)) for _, piece, found in counts.unsaved()] == [(1, 1)]


def test_keys_of_a_bucket_are_deleted_with_those_of_earlier_owners() -> None:
    keys = SavedKeys(3, "me")
    bucket = BucketKey("minute", 7, 1)
    keys.take_over(bucket, "3/before/minute/7/1/0")
    assert keys.counts(bucket, 2) == "3/me/minute/7/1/2"
    assert (keys.head, keys.facts(4), keys.waiting) == ("3/me/head", "3/me/facts/4", "3/me/waiting/")
    keys.delete("3/before/hour/1/1/0")
    keys.drop(bucket)
    assert sorted(keys.take_deleted()) == ["3/before/hour/1/1/0", "3/before/minute/7/1/0", "3/me/minute/7/1/2"]
    keys.drop(bucket)
    assert keys.take_deleted() == []


@given(st.lists(st.dictionaries(st.integers(0, 20), st.integers(1, 9), max_size=8), max_size=20))
def test_what_is_saved_holds_all_counts_and_each_change_is_written_twice_at_most(saves: list[dict[int, int]]) -> None:
    counts, keys, saved = ShardCounts(RowIndex()), SavedKeys(3, "me"), dict[str, dict[int, int]]()
    greatest, changed, written = dict[int, int](), 0, 0
    with patch.object(counting, "ROWS", 4):
        for report in saves:
            changed += sum(listens > greatest.get(pair, 0) for pair, listens in report.items())
            greatest |= {pair: max(listens, greatest.get(pair, 0)) for pair, listens in report.items()}
            if report:
                list(raised(counts, "hour", 1, *((pair, 5, listens) for pair, listens in report.items())))
            held = []
            for bucket, piece, found in counts.unsaved():
                key = keys.changes(bucket) if piece is None else keys.counts(bucket, piece)
                assert len(found) <= 4
                saved[key] = dict(zip(found.pair.tolist(), found.counts[:, LISTENS].tolist(), strict=True))
                written += len(found)
                held += [] if piece is None else keys.take_changes(bucket)
            for key in held:
                del saved[key]
            restored: dict[int, int] = {}
            for one in saved.values():
                restored |= {pair: max(listens, restored.get(pair, 0)) for pair, listens in one.items()}
            assert restored == greatest
    assert written <= 2 * changed
    keys.drop(BucketKey("hour", 5, 1))
    assert sorted(keys.take_deleted()) == sorted(saved)


cells = st.dictionaries(st.tuples(small, small, small), st.integers(1, 9), max_size=5)


@given(st.lists(st.dictionaries(small, st.tuples(cells, cells), max_size=4), max_size=5))
def test_messages_of_several_sources_count_together_as_one_by_one(
    groups: list[dict[int, tuple[dict[tuple[int, int, int], int], dict[tuple[int, int, int], int]]]],
) -> None:
    alone, together = Shard(0, "owner", KEY), Shard(0, "owner", KEY)
    for shard in (alone, together):
        shard.advance(2 * HOUR_MS)
    for position, group in enumerate(groups):
        messages = [
            Partial(source, position, position, section_of(minutes, 118), section_of(hours, 0), [])
            for source, (minutes, hours) in group.items()
        ]
        for message in messages:
            alone.apply(message)
        if messages:
            together.apply(*messages)
    assert together.report(whole=True) == alone.report(whole=True)
    assert together.watermark(0) == alone.watermark(0)
    days = [sorted(shard.days.due(100), key=lambda day: (day.song_id, day.id)) for shard in (alone, together)]
    assert days[0] == days[1]
    saved = [restored(shard) for shard in (alone, together)]
    assert saved[0] == saved[1]


def section_of(listens: dict[tuple[int, int, int], int], begin: int) -> CountSection:
    """A section of listens by song, region and bucket after `begin`."""
    songs = SongIndex()
    found = [
        (songs[f"song-{song}"] << REGION_BITS | region, begin + bucket, count)
        for (song, region, bucket), count in listens.items()
    ]
    return pack(rows(*found) if found else no_rows(), songs)


def restored(shard: Shard) -> dict[str, TopK]:
    """The lists of the owner that takes over what a shard saves."""
    after = Shard(0, "next", KEY)
    after.advance(2 * HOUR_MS)
    after.restore((key, value) for key, value in shard.flush().items() if value is not None)
    return after.report(whole=True)[1]


tables = st.dictionaries(st.tuples(small, small), st.integers(1, 9), max_size=5)


@given(st.lists(st.tuples(small, tables), max_size=9), st.integers(1, 500))
def test_saved_tables_are_merged_by_the_greater_count(
    found: list[tuple[int, dict[tuple[int, int], int]]], group_bytes: int
) -> None:
    saving, songs, index = SongIndex(), SongIndex(), RowIndex()
    saved: dict[BucketKey, list[bytes]] = {}
    expected: dict[BucketKey, dict[tuple[str, int], int]] = {}
    for bucket, table in found:
        key = BucketKey("hour", bucket, bucket % 2)
        pairs = {(f"song-{song}", region): listens for (song, region), listens in table.items()}
        section = rows_of_songs(saving, bucket, pairs)
        saved.setdefault(key, []).append(msgspec.msgpack.encode(section))
        known = expected.setdefault(key, {})
        known |= {one: max(listens, known.get(one, 0)) for one, listens in pairs.items()}
    with patch.object(saved_tables, "GROUP_BYTES", group_bytes):
        merged = list(saved_tables.merged_tables(saved, songs, index))
    assert all((one.rows[1:] > one.rows[:-1]).all() for one in merged)
    assert {
        one.key: {
            (songs.names[pair >> REGION_BITS], pair & (1 << REGION_BITS) - 1): three[LISTENS]
            for pair, three in zip(index.pairs(one.rows).tolist(), one.counts.tolist(), strict=True)
        }
        for one in merged
    } == {key: table for key, table in expected.items() if table}


def rows_of_songs(songs: SongIndex, bucket: int, listens: dict[tuple[str, int], int]) -> CountSection:
    """A saved section of listens by song and region."""
    found = [(songs[song] << REGION_BITS | region, bucket, count) for (song, region), count in listens.items()]
    return pack(rows(*found) if found else no_rows(), songs)


def test_a_table_leaves_few_records_of_changes() -> None:
    counts, keys, held = ShardCounts(RowIndex()), SavedKeys(3, "me"), set[str]()
    list(raised(counts, "hour", 0, *((pair, 5, 1) for pair in range(2 * ROWS))))
    pieces = 0
    for save in range(100):
        for bucket, piece, _ in counts.unsaved():
            if piece is None:
                held.add(keys.changes(bucket))
            else:
                pieces += 1
                held.difference_update(keys.take_changes(bucket))
        assert len(held) <= counting.CHANGE_RECORDS
        list(raised(counts, "hour", 0, (save * 60, 5, 2)))
    assert pieces <= 2 + 2 * 100 // counting.CHANGE_RECORDS


@given(
    st.lists(st.tuples(small, st.integers(0, 2**40)), min_size=1, max_size=2 * CHART_SIZE), st.sets(st.integers(0, 9))
)
def test_the_top_list_is_that_of_sorting(values: list[tuple[int, int]], removed: set[int]) -> None:
    sums = WindowSums()
    sums.make_room(len(values))
    for song, (listens, score) in enumerate(values):
        sums.counts[song, LISTENS] = listens
        sums.scores[song] = score
    names = [f"song-{song * 7 % len(values)}-{song}" for song in range(len(values))]
    songs = np.arange(len(values))
    genres = SongGenres()
    for song in removed:
        genres.place(song, (), removed=True)
    for kind, which in (("top", 0), ("trending", 1)):
        found = top_k("top" if kind == "top" else "trending", sums, songs, songs, names, genres.shown(len(songs)))
        shown = [
            (-value[which], names[song]) for song, value in enumerate(values) if value[which] and song not in removed
        ]
        assert [(-value, name) for name, value in zip(found.song, found.value, strict=True)] == sorted(shown)[
            :CHART_SIZE
        ]


def test_ranks_go_over_the_lists_of_all_shards_and_ties_by_song_id() -> None:
    lists = [TopK(["b", "c"], [2, 1], [0, 0], [2, 1]), TopK(["a"], [2], [1], [2])]
    labels = {song: SongLabel(song, song.upper(), None, None) for song in "abc"}
    shards = [ShardList(top, labels) for top in lists]
    entries = rank("top", shards, {"c": 1})
    assert [(entry.rank, entry.song_id, entry.previous_rank) for entry in entries] == [
        (1, "a", None),
        (2, "b", None),
        (3, "c", 1),
    ]
    assert [entry.score for entry in rank("trending", shards, {})] == [value / (1 << SCALE_BITS) for value in (2, 2, 1)]


def test_a_report_has_what_is_new_and_a_whole_one_everything() -> None:
    reported = ReportedLists()
    one, two = TopK(["a"], [1], [0], [1]), TopK(["a", "b"], [2, 1], [0, 0], [2, 1])
    nothing = TopK([], [], [], [])
    assert reported.report([("k", one), ("empty", nothing)], whole=False) == (["a"], {"k": one})
    assert reported.report([("k", one)], whole=False) == ([], {})
    assert reported.report([("k", two)], whole=False) == (["b"], {"k": two})
    reported.relabel("a")
    reported.relabel("never reported")
    assert reported.report([], whole=False) == (["a"], {})
    assert reported.report([("k", nothing)], whole=False) == ([], {"k": nothing}), "it is empty by now"
    assert reported.report([("k", two)], whole=True) == (["a", "b"], {"k": two})


def test_a_song_is_of_all_its_genres_and_no_others() -> None:
    genres = SongGenres()
    genres.cover(2)
    genres.place(1, ("pop", "jazz"), removed=False)
    genres.place(3, ("pop",), removed=True)
    assert sorted(genres.songs("pop").tolist()) == [1, 3]
    assert sorted(genres.songs(UNKNOWN_GENRE).tolist()) == [0, 2]
    assert genres.removed == {3}
    genres.place(3, (UNKNOWN_GENRE,), removed=False)
    assert genres.of({1, 3}) == {"pop", "jazz", UNKNOWN_GENRE}
    assert genres.songs("jazz").tolist() == [1]
    genres.place(1, ("jazz",), removed=False)
    assert genres.songs("pop").tolist() == []
    assert not genres.removed


@given(st.lists(st.tuples(small, st.integers(-1, 9), st.none() | st.integers(0, 9)), max_size=20))
def test_positions_and_watermarks_never_fall(steps: list[tuple[int, int, int | None]]) -> None:
    watermarks = SourceWatermarks()
    for source, position, watermark_ms in steps:
        before = watermarks.as_of(9)
        watermarks.advance(source, position, watermark_ms)
        assert watermarks.positions[source] == max(position, before.positions.get(source, -1))
        known = [ms for ms in (before.watermarks_ms.get(source), watermark_ms) if ms is not None]
        assert watermarks.watermarks_ms[source] == max(known, default=None)


def test_what_a_clock_said_that_was_set_back_is_claimed_no_longer() -> None:
    watermarks = SourceWatermarks()
    watermarks.advance(0, 5, NOW_MS + HOUR_MS)
    watermarks.advance(1, 5, NOW_MS + 1_000)
    assert watermarks.as_of(NOW_MS).watermarks_ms == {0: None, 1: NOW_MS}, "another worker's clock is a little ahead"
    watermarks.advance(0, 6, NOW_MS - 1_000)
    assert watermarks.as_of(NOW_MS).watermarks_ms == {0: NOW_MS - 1_000, 1: NOW_MS}


def test_windows_come_back_to_the_moment_where_a_clock_was_ahead() -> None:
    shard = Shard(0, "owner", KEY)
    minute = NOW_MS // MINUTE_MS
    shard.advance(NOW_MS)
    shard.count(0, rows((shard.songs["heard"] << REGION_BITS, minute, 1)), no_rows(), [])
    _, before = shard.report(whole=True)
    shard.advance(NOW_MS + HOUR_MS // 2)
    assert shard.report(whole=True)[1] != before
    assert shard.slides(NOW_MS)
    shard.advance(NOW_MS)
    assert shard.report(whole=True)[1] == before
    assert not shard.slides(NOW_MS)


@pytest.mark.parametrize(("song_id", "made"), [("new", 0), ("heard", 1)])
def test_only_facts_of_a_song_that_a_window_counts_make_lists_anew(song_id: str, made: int) -> None:
    shard = Shard(0, "owner", KEY)
    shard.advance(5 * MINUTE_MS)
    shard.count(0, rows((shard.songs["heard"] << REGION_BITS, 5, 1)), no_rows(), [])
    shard.report(whole=True)
    claim = Claim(second=1, position=1)
    fact = SongFact(song_id, 1, 1, removed=False, genre="jazz", user_id="0" * 32, claim=claim, is_keyed=True)
    with patch.object(ShardWindows, "change_all") as change_all:
        shard.count(0, no_rows(), no_rows(), [fact])
    assert change_all.call_count == made
