"""Chunks of actions, and what merging makes of them."""

from collections import Counter
from collections.abc import Iterable
from random import Random

import numpy as np

from songline.processors.trending.cells.action_codes import code
from songline.processors.trending.cells.chunks import (
    CHUNK_ROWS,
    ActionChunk,
    Actions,
    chunk_actions,
    encode_chunk,
    merged_chunks,
)
from songline.processors.trending.cells.validation import check_chunk
from songline.processors.trending.song_index import REGION_BITS, SongIndex
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
