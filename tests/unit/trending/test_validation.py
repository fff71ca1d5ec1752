"""Whatever stands in a hub between the stages, it is poison or does no harm: nothing else is raised, now or later."""

from collections.abc import Callable
from functools import partial as partial_call
from itertools import count
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.chunks import ActionChunk, chunk_actions, encode_mark
from songline.processors.trending.cells.state import Cell
from songline.processors.trending.cells.validation import check_cell, check_chunk, check_partial
from songline.processors.trending.cells.wire import CountRows, CountSection, Partial, SongFact, pack
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards import wire as reports
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.validation import broken_saved, check_report_part, check_saved
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.song_index import SongIndex, pair, shard_of
from songline.processors.trending.validation import MAX_NUMBER, StageLimits, check_song, check_songs
from songline.processors.trending.watermark import ShardWatermark
from songline.schemas.documents import GLOBAL, chart_key
from songline.schemas.errors import PoisonError
from songline.schemas.ownership import Claim
from tests.support.trending import KEY as SETS

NOW_MS = 1_795_000_000_000
CHUNK = msgspec.msgpack.encode(ActionChunk(SETS.id, ["song-1"], b"\0\0", b"\1\0", b"\7", b"\0", bytes(16)))
MINUTE = NOW_MS // 60_000
HOUR = MINUTE // 60
LIMITS = StageLimits(shards=1, sources=4, now_ms=NOW_MS)
KEY = chart_key("top", "1h", GLOBAL)

numbers = st.sampled_from([0, 1, 3, 4, -1, -(2**31), 2**31 - 1, 2**62, 2**63 - 1, 2**64 - 1, MINUTE, NOW_MS])
names = st.sampled_from(["song-1", "song-2", "", "a b", "a\nb", "\ud7ff", "x" * 200, "ä"])
texts = st.sampled_from([None, "one", "One", "x" * 301, "x" * 100_000, ""])


def column(kind: str) -> st.SearchStrategy[bytes]:
    values = st.lists(st.sampled_from([0, 1, 2, 3, MINUTE, MINUTE // 60, 2**15]), max_size=4)
    good = values.map(lambda found: np.array(found, "<i8").astype(kind).tobytes())
    return good | st.binary(max_size=9) | st.just(np.array([-1, 2**31 - 1], "<i4").tobytes())


sections = st.builds(
    CountSection, st.lists(names, max_size=3), column("<i4"), column("<u2"), column("<i4"), column("<i4")
)
facts = st.builds(SongFact, names, numbers, numbers, st.booleans(), texts, texts, texts)
NAMELESS = CountSection([""], b"", b"", b"", b"")
"""A section of no rows that names what is no song."""
foreign_partials = st.builds(
    Partial, numbers, st.none() | numbers, st.none() | numbers, sections, sections, st.lists(facts, max_size=2)
)


@effort(100)
@given(st.lists(foreign_partials.map(msgspec.msgpack.encode) | st.binary(max_size=30), max_size=4))
@example([msgspec.msgpack.encode(Partial(0, 0, 0, NAMELESS, NAMELESS, []))])
def test_no_partial_stops_a_shard_or_its_report(bodies: list[bytes]) -> None:
    shard = Shard(0, "owner", SETS)
    shard.advance(NOW_MS)
    for body in [partial(minutes=rows(("song-1", 1, MINUTE, (2, 0, 0)))), *bodies]:
        try:
            found = partials.decode(body)
            check_partial(found, 0, LIMITS, shard.songs)
        except PoisonError:
            continue
        shard.apply(found)
    merge = Merge(1)
    songs, tops = shard.report(whole=True)
    for part in reports.report_bodies(0, True, songs, tops, shard.watermark(NOW_MS)):
        assert len(part) < 1_000_000
        found_part = reports.decode(part)
        check_report_part(found_part, LIMITS)
        merge.apply(found_part)
    assert merge.ready
    assert all(merge.chart(key, {}) for key in sorted(merge.keys()))
    saved = shard.flush()
    for key, value in saved.items():
        if value is not None:
            check_saved(key.encode(), value, 0, LIMITS)
    Shard(0, "next", SETS).restore((key, value) for key, value in saved.items() if value is not None)


def test_counts_that_do_not_fit_together_stop_no_report() -> None:
    shard = Shard(0, "owner", SETS)
    shard.advance(NOW_MS)
    some = rows(*[("song-1", 1, MINUTE - age, (1_500_000_000, 0, 0)) for age in (50, 51)])
    found = partials.decode(partial(minutes=some))
    check_partial(found, 0, LIMITS, shard.songs)
    shard.apply(found)
    songs, tops = shard.report(whole=True)
    assert tops["trending:1h:global"].song == ["song-1"]
    for part in reports.report_bodies(0, True, songs, tops, shard.watermark(NOW_MS)):
        check_report_part(reports.decode(part), LIMITS)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"partition": -1}, "partition is -1"),
        ({"partition": 2048}, "partition is 2048"),
        ({"position": 2**64 - 1}, "position is"),
        ({"watermark_ms": NOW_MS + 3 * 3_600_000}, "watermark_ms is"),
        ({"minutes": CountSection(["song-1"], b"\0" * 4, b"\0" * 2, b"\0" * 4, b"\0" * 8)}, "not of equal length"),
        ({"minutes": CountSection(["song-1"], b"\1\0\0\0", b"\0" * 2, b"\0" * 4, b"\0" * 12)}, "song is 1"),
        ({"minutes": CountSection(["song-1"], b"\xff" * 4, b"\0" * 2, b"\0" * 4, b"\0" * 12)}, "song is -1"),
        ({"minutes": CountSection(["song-1"], b"\0" * 4, b"\xff" * 2, b"\0" * 4, b"\0" * 12)}, "region is"),
        ({"minutes": CountSection(["song-1"], b"\0" * 4, b"\0" * 2, b"\xff\xff\xff\x7f", b"\0" * 12)}, "bucket is"),
        ({"minutes": CountSection(["song-1"], b"\0" * 4, b"\0" * 2, b"\0" * 4, b"\xff" * 12)}, "counts is -1"),
        ({"minutes": CountSection(["song-1"], b"\0" * 8, b"\0" * 4, b"\0" * 8, b"\0" * 24)}, "there twice"),
        ({"minutes": CountSection(["song-1"] * 2, b"\0" * 4, b"\0" * 2, b"\0" * 4, b"\0" * 12)}, "named twice"),
        ({"minutes": CountSection(["a b"], b"\0" * 4, b"\0" * 2, b"\0" * 4, b"\0" * 12)}, "no song id"),
        ({"facts": [SongFact("song-1", 0, 0, False, "x" * 301, None, None)]}, "301 characters"),
        ({"facts": [SongFact("name:one", 0, 0, False, "a", "b")]}, "known by name only"),
        ({"facts": [SongFact("name:one", 0, 0, True)]}, "known by name only"),
        ({"facts": [SongFact("song-1", 0, 0, False, "a", "b", "One")]}, "'One' is no genre"),
        ({"facts": [SongFact("song-1", 0, 0, False, "a", "b", "a:b")]}, "'a:b' is no genre"),
        ({"facts": [SongFact("song-1", 0, 0, False, "a", "b", "a", more_genres=("B",))]}, "'B' is no genre"),
        ({"facts": [SongFact("song-1", 0, 0, False, "a", "b", "a", more_genres=("b",) * 11)]}, "11 more genres"),
        ({"facts": [SongFact("song-1", 2**63, 0, False)]}, "time_ms is"),
        ({"facts": [SongFact("song-1", 0, -1, False)]}, "offset is"),
        ({"facts": [SongFact("song-1", 0, 1, True, user_id="no user")]}, "user_id"),
        ({"facts": [SongFact("song-1", 0, 1, False, user_id="u", claim=Claim(-1, 1))]}, "claim.second is"),
        ({"facts": [SongFact("song-1", 0, 1, False, user_id="u", claim=Claim(0, 2))]}, "claim.position is"),
    ],
)
def test_a_partial_that_no_source_sends_is_poison(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(PoisonError, match=why):
        check_partial(partials.decode(partial(**fields)), 0, LIMITS, SongIndex())


def test_a_song_of_another_shard_is_poison() -> None:
    body = partial(minutes=rows(("song-1", 1, MINUTE, (1, 0, 0))))
    limits = StageLimits(shards=4, sources=4, now_ms=NOW_MS)
    home = shard_of("song-1", 4)
    check_partial(partials.decode(body), home, limits, SongIndex())
    with pytest.raises(PoisonError, match="of shard"):
        check_partial(partials.decode(body), (home + 1) % 4, limits, SongIndex())


watermarks = st.builds(
    ShardWatermark,
    numbers,
    st.dictionaries(numbers, numbers, max_size=2),
    st.dictionaries(numbers, st.none() | numbers, max_size=2),
)
tops = st.builds(TopK, st.lists(names, max_size=2), *[st.lists(numbers, max_size=2) for _ in range(3)]) | st.just(
    TopK(["song-1"], [1], [0], [1])
)
keys = st.sampled_from(
    [KEY, "top:1h:region:DE", "top:1h:region:de", "best:1h:global", "top:2h:global", "x", "top:1h:genre:\n"]
)
foreign_reports = st.builds(
    ReportPart,
    st.sampled_from([0, 0, 1, -1, 2**63]),
    st.booleans(),
    st.booleans(),
    st.lists(st.builds(SongLabel, names, texts, texts, texts), max_size=2),
    st.dictionaries(keys, tops, max_size=2),
    st.none() | watermarks | st.just(ShardWatermark(NOW_MS, {0: 3}, {0: NOW_MS})),
)


@effort(100)
@given(st.lists(foreign_reports.map(msgspec.msgpack.encode) | st.binary(max_size=30), max_size=5))
def test_no_report_stops_the_merge_or_what_it_writes(bodies: list[bytes]) -> None:
    merge = Merge(1)
    for body in [whole_report(), *bodies]:
        try:
            part = reports.decode(body)
            check_report_part(part, LIMITS)
            merge.apply(part)
        except PoisonError:
            continue
        assert merge.ready
        merge.freshness()
        assert all(merge.chart(key, {}) for key in sorted(merge.keys()))
    merge.apply(reports.decode(whole_report()))
    assert [entry.song_id for entry in merge.chart(KEY, {}).entries] == ["song-1"], "the next whole report mends it all"
    assert merge.keys() == {KEY}


def test_a_list_with_songs_that_were_never_reported_is_not_used_and_what_follows_waits_for_everything() -> None:
    merge = Merge(1)
    merge.apply(reports.decode(whole_report()))
    later = ShardWatermark(NOW_MS + 1, {0: 9}, {0: NOW_MS})
    with pytest.raises(PoisonError, match="song-9"):
        merge.apply(ReportPart(0, True, False, [], {KEY: TopK(["song-9"], [1], [0], [1])}, later))
    merge.apply(ReportPart(0, True, False, [], {}, later))
    assert merge.freshness().position == {"0": 3}, "something of what the shard said is missing"
    merge.apply(ReportPart(0, True, True, [], {}, later))
    assert merge.freshness().position == {"0": 9}


@effort(70)
@given(
    st.sampled_from(
        [b"0/5/a/0", b"0/5/a", b"\xff\xfe", b"", b"1/5/a/0", b"0/x/a/0", b"-1/5/a/0", b"0/5/a/99999999999999"]
    ),
    st.binary(max_size=20)
    | st.lists(
        st.tuples(
            st.sampled_from(["0user-1 song-1", "9u s", "x", "0u s\n1u s", ""]),
            st.binary(max_size=3),
            st.binary(max_size=4),
        ),
        max_size=2,
    ).map(msgspec.msgpack.encode)
    | st.builds(
        ActionChunk,
        key=st.sampled_from([SETS.id, b"another"]),
        songs=st.lists(st.sampled_from(["song-1", "song-2", "a b"]), max_size=2),
        song=st.sampled_from([b"", b"\0\0", b"\1\0", b"\xff\xff"]),
        region=st.sampled_from([b"", b"\0\0", b"\xff\xff"]),
        minute=st.sampled_from([b"", b"\7", b"\x3c"]),
        kind=st.sampled_from([b"", b"\2", b"\3"]),
        identities=st.sampled_from([b"", bytes(16), bytes(15)]),
    ).map(msgspec.msgpack.encode),
)
@example(b"0/5/a/0", msgspec.msgpack.encode([("0user-1 song-1\n1user-1 song-2", b"\x05\x07", b"\x01\x00\x02\x00")]))
@example(b"0/5/a/0", CHUNK)
@example(b"0/5/a/0", msgspec.msgpack.encode(ActionChunk(SETS.id, ["song-1", "song-2"], *[b""] * 5)))
@example(b"0/5/sealed/0", encode_mark(5))
@example(b"0/5/sealed/0", encode_mark(-1))
@example(b"0/5/sealed/0", CHUNK)
def test_no_record_of_the_cells_stops_their_recovery(key: bytes, value: bytes) -> None:
    try:
        check_cell(key, value, 0)
        if key == b"0/5/sealed/0":
            assert value == encode_mark(5)
            return
        chunk = check_chunk(value, SETS.id)
    except PoisonError:
        return
    assert key == b"0/5/a/0"
    songs = SongIndex()
    actions = chunk_actions(chunk, songs, SETS)
    assert len(actions.identities) == len(actions.codes) >= len(songs) or isinstance(chunk, ActionChunk)
    Cell(5, songs, SETS, count()).restore([chunk])


@pytest.mark.parametrize("count", [1, 15, 16, 511, 512, 600, 767, 768])
def test_a_chunk_of_an_older_version_is_read_however_many_sections_it_has(count: int) -> None:
    value = msgspec.msgpack.encode([(f"0user-{number} song-1", b"\7", b"\1\0") for number in range(count)])
    check_cell(b"0/5/a/0", value, 0)
    assert len(chunk_actions(check_chunk(value, SETS.id), SongIndex(), SETS)) == count


shard_keys = st.sampled_from(
    ["head", "facts/0", "waiting/0", "minute/5/0/0", f"minute/{MINUTE}/0/0", "hour/5/9999/0", "hour/5/0", "other"]
)
shard_values = (
    st.binary(max_size=20)
    | sections.map(msgspec.msgpack.encode)
    | st.tuples(st.dictionaries(numbers, numbers), st.dictionaries(numbers, st.none() | numbers)).map(
        msgspec.msgpack.encode
    )
    | st.lists(st.tuples(names, numbers), max_size=2).map(msgspec.msgpack.encode)
    | st.lists(st.tuples(numbers, facts), max_size=2).map(msgspec.msgpack.encode)
)


@effort(100)
@given(shard_keys, shard_values)
@example(f"minute/{MINUTE}/0/0", msgspec.msgpack.encode(CountSection([""], b"", b"", b"", b"")))
@example("facts/0", msgspec.msgpack.encode([(0, SongFact("song-1", 0, 0, False, "a", "b", "One"))]))
def test_no_record_of_the_shards_stops_their_recovery(rest: str, value: bytes) -> None:
    key = f"0/owner/{rest}"
    try:
        check_saved(key.encode(), value, 0, LIMITS)
    except PoisonError:
        return
    shard = Shard(0, "next", SETS)
    shard.advance(NOW_MS)
    counts = msgspec.msgpack.encode(rows(("song-1", 1, MINUTE, (2, 0, 0))))
    of_the_hour = msgspec.msgpack.encode(rows(("song-1", 1, HOUR, (2, 0, 0))))
    before = [(f"0/before/minute/{MINUTE}/0/0", counts), (f"0/before/hour/{HOUR}/0/0", of_the_hour)]
    shard.restore([(key, value), *before])
    assert shard.flush()
    songs, found = shard.report(whole=True)
    for part in reports.report_bodies(0, True, songs, found, shard.watermark(NOW_MS)):
        check_report_part(reports.decode(part), LIMITS)
    assert [document.song_id for document in shard.days.due(10) if document.total >= 2] == ["song-1"]


IDS = st.sampled_from(["song-1", "a:b", ".", "..", "...a", "", "x" * 128, "x" * 129, "a\nb", "a\n", "\n", "é", "a b"])


@settings(deadline=None)
@given(st.lists(IDS | st.text(max_size=3), max_size=5))
def test_song_ids_are_held_together_to_what_each_is_held_to(songs: list[str]) -> None:
    def holds(check: Callable[[], None]) -> bool:
        try:
            check()
        except PoisonError:
            return False
        return True

    each = all(holds(partial_call(check_song, song, None, LIMITS)) for song in songs)
    assert holds(partial_call(check_songs, songs, None, LIMITS)) == each


def test_keys_of_other_partitions_and_numbers_beyond_all_are_poison() -> None:
    head = msgspec.msgpack.encode(({0: 5}, {0: None}))
    check_saved(b"0/owner/head", head, 0, LIMITS)
    for key, value in ((b"1/owner/head", head), (b"0/owner/head", msgspec.msgpack.encode(({0: MAX_NUMBER + 1}, {})))):
        with pytest.raises(PoisonError):
            check_saved(key, value, 0, LIMITS)


def rows(*found: tuple[str, int, int, tuple[int, int, int]]) -> CountSection:
    songs = SongIndex()
    numbers = songs.numbers([song for song, *_ in found])
    regions = np.array([region for _, region, *_ in found], np.int64)
    buckets = np.array([bucket for _, _, bucket, _ in found], np.int64)
    counts = np.array([count for *_, count in found], np.int64)
    return pack(CountRows(pair(numbers, regions), buckets, counts), songs)


COUNTS_KEYS = st.sampled_from([f"0/a/minute/{MINUTE}/0/0", f"0/a/hour/{HOUR}/1/7", f"0/a/hour/{HOUR + 9}/1/7"])
counts_values = st.lists(
    st.tuples(st.sampled_from(["song-1", "song-2"]), st.integers(0, 2), st.sampled_from([MINUTE, HOUR, HOUR])),
    max_size=4,
).map(lambda found: msgspec.msgpack.encode(rows(*[(*one, (2, 0, 0)) for one in found])))
other_keys = shard_keys.map("0/minute/".__add__) | COUNTS_KEYS | st.just("1/a/hour/5/0/0")


@effort(100)
@given(st.lists(st.tuples(COUNTS_KEYS, counts_values) | st.tuples(other_keys, shard_values), max_size=6))
@example([(f"0/a/hour/{HOUR}/1/7", msgspec.msgpack.encode(rows(*[("song-1", 1, HOUR, (2, 0, 0))] * 2)))])
def test_records_of_shards_are_held_together_to_what_each_is_held_to(saved: list[tuple[str, bytes]]) -> None:
    def is_broken(key: bytes, value: bytes) -> bool:
        try:
            check_saved(key, value, 0, LIMITS)
        except PoisonError:
            return True
        return False

    records = [(key.encode(), value) for key, value in saved]
    found = [(one.key, one.value) for one in broken_saved(records, 0, LIMITS)]
    assert sorted(found) == sorted(one for one in records if is_broken(*one))


def partial(**fields: Any) -> bytes:
    nothing = CountSection([], b"", b"", b"", b"")
    usual: dict[str, Any] = {
        "partition": 0,
        "position": 3,
        "watermark_ms": NOW_MS,
        "minutes": nothing,
        "hours": nothing,
        "facts": [],
    }
    return msgspec.msgpack.encode(Partial(**(usual | fields)))


def whole_report() -> bytes:
    top = TopK(["song-1"], [1], [0], [1])
    return msgspec.msgpack.encode(
        ReportPart(
            0,
            True,
            True,
            [SongLabel("song-1", None, None, None)],
            {KEY: top},
            ShardWatermark(NOW_MS, {0: 3}, {0: NOW_MS}),
        )
    )
