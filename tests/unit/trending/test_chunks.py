"""Chunks of actions: what merging makes of them, and what reading many of them at once does."""

from collections import Counter
from collections.abc import Iterable
from itertools import count
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.processors.trending.action_hashes import hashes_of
from songline.processors.trending.cells import state
from songline.processors.trending.cells.action_codes import code
from songline.processors.trending.cells.chunks import (
    CHUNK_ROWS,
    ActionChunk,
    Actions,
    chunk_actions,
    encode_chunk,
    encode_mark,
    merged_chunks,
)
from songline.processors.trending.cells.state import Cell, CellFlush
from songline.processors.trending.cells.validation import check_chunk, check_chunks
from songline.processors.trending.cells.wire import CountRows
from songline.processors.trending.song_index import REGION_BITS, SongIndex
from songline.schemas.errors import PoisonError
from tests.support.trending import KEY

SONGS = [f"song-{number}" for number in range(300)]
LOW_BITS = REGION_BITS + 8


def random_chunk(random: Random, rows: int) -> bytes:
    """A chunk of one flush: some actions of songs in no order."""
    songs = SongIndex()
    songs.numbers(random.sample(SONGS, len(SONGS)))
    columns = (len(SONGS), 677, 60, 3)
    song, region, minute, kind = (np.array([random.randrange(end) for _ in range(rows)], np.int64) for end in columns)
    identities = np.array([[random.getrandbits(64), random.getrandbits(64)] for _ in range(rows)], np.uint64)
    return encode_chunk(Actions(identities.reshape(-1, 2), code(song, region, minute, kind)), songs, KEY)


def held(values: Iterable[bytes]) -> Counter[tuple[str, int, int, int]]:
    """The actions in chunks: song, the rest of the code, and identity."""
    found: Counter[tuple[str, int, int, int]] = Counter()
    for value in values:
        songs = SongIndex()
        actions = chunk_actions(check_chunk(value, KEY.id), songs, KEY)
        for one, (high, low) in zip(actions.codes.tolist(), actions.identities.tolist(), strict=True):
            found[songs.names[one >> LOW_BITS], one & (1 << LOW_BITS) - 1, high, low] += 1
    return found


def test_merged_chunks_hold_the_same_actions_and_name_a_song_once_where_they_can() -> None:
    random = Random(5)
    some = [random_chunk(random, random.randrange(1, 900)) for _ in range(20)]
    merged = list(merged_chunks((check_chunk(one, KEY.id) for one in some), KEY))
    before = held(some)
    assert held(merged) == before
    assert len(merged) == -(-before.total() // CHUNK_ROWS)
    named = [chunk.songs for one in merged if isinstance(chunk := check_chunk(one, KEY.id), ActionChunk)]
    assert sum(map(len, named)) <= len({song for song, *_ in before}) + len(merged) - 1
    assert sum(map(len, merged)) < sum(map(len, some))


def test_nothing_is_merged_into_nothing() -> None:
    assert list(merged_chunks((), KEY)) == []


GOOD = [random_chunk(Random(seed), rows) for seed, rows in enumerate((0, 1, 40, 300))]
GOOD += [msgspec.msgpack.encode([("0user-1 song-1\n1user-1 song-2", b"\x05\x07", b"\x01\x00\x02\x00")])]
PLAIN = ActionChunk(KEY.id, ["song-1", "new"], b"\1\0", b"\0\0", b"\7", b"\2", bytes(16))
CHANGES: list[dict[str, Any]] = [
    {"key": b"another"},
    {"songs": ["song-1", "a b"]},
    {"songs": ["song-1", "a\nb"]},
    {"songs": ["song-1"]},
    {"songs": []},
    {"song": b"\xff\xff"},
    {"region": b"\xff\xff"},
    {"minute": b"\x3c"},
    {"kind": b"\3"},
    {"identities": bytes(15)},
    {"minute": b"\7\7"},
]
BAD = [msgspec.msgpack.encode(structs.replace(PLAIN, **change)) for change in CHANGES]
BAD += [b"", b"\xc1", encode_mark(5), GOOD[2][:-1], msgspec.msgpack.encode([("no action", b"\x05", b"\x01\x00")])]


@given(st.lists(st.sampled_from(GOOD + BAD), max_size=5))
def test_chunks_are_held_together_to_what_each_is_held_to(values: list[bytes]) -> None:
    expected: list[int] = []
    for place, value in enumerate(values):
        try:
            check_chunk(value, KEY.id)
        except PoisonError:
            expected.append(place)
    chunks, broken = check_chunks(values, KEY.id)
    assert [place for place, _ in broken] == expected
    songs = SongIndex()
    rows: Counter[tuple[str, int, int, int]] = Counter()
    for chunk in chunks:
        actions = chunk_actions(chunk, songs, KEY)
        for one, (high, low) in zip(actions.codes.tolist(), actions.identities.tolist(), strict=True):
            rows[songs.names[one >> LOW_BITS], one & (1 << LOW_BITS) - 1, high, low] += 1
    assert rows == held(value for place, value in enumerate(values) if place not in expected)


def test_one_bad_chunk_costs_none_of_its_neighbours() -> None:
    for bad in BAD:
        with pytest.raises(PoisonError):
            check_chunk(bad, KEY.id)
        chunks, [(place, _)] = check_chunks([GOOD[2], bad, GOOD[3]], KEY.id)
        assert (place, len(chunks)) == (1, 2)


def flushed(cell: Cell, songs: SongIndex, actions: list[tuple[int, int, int, int]]) -> CellFlush:
    """A flush of actions: kind, listener, song and minute."""
    hashes = hashes_of([(kind, f"user-{user}", f"song-{song}") for kind, user, song, _ in actions])
    numbers = songs.numbers([f"song-{song}" for _, _, song, _ in actions])
    kinds, minutes = (np.array([one[place] for one in actions], np.int64) for place in (0, 3))
    return cell.flush(Actions(hashes, code(numbers, numbers % 3, minutes, kinds)))


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 60))
def test_counts_of_a_cell_that_was_restored_in_pieces_go_on(seed: int, first: int, second: int) -> None:
    random = Random(seed)
    some = [
        [(random.randrange(3), random.randrange(3), random.randrange(9), random.randrange(4)) for _ in range(size)]
        for size in (first, second)
    ]
    songs = SongIndex()
    cell, after = Cell(5, songs, KEY, count()), Cell(5, songs, KEY, count(1_000))
    before = [flushed(cell, songs, some[0])] if some[0] else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "COUNT_ROWS", 7)
        chunks, broken = check_chunks([value for flush in before for value in flush.chunks.values()] * 2, KEY.id)
        assert not broken
        after.restore(chunks)
    for one, other in zip(*(_rows(flushed(each, songs, some[1])) for each in (cell, after)), strict=True):
        assert one == other


def _rows(flush: CellFlush) -> tuple[list[object], list[object]]:
    def columns(rows: CountRows) -> list[object]:
        return [*zip(rows.pair.tolist(), rows.bucket.tolist(), rows.counts.tolist(), strict=True)]

    return columns(flush.minutes), columns(flush.hours)
