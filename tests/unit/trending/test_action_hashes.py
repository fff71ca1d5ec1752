"""An action's hash is the same in every process and every version, and no two actions share one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.trending import action_hashes
from songline.processors.trending.action_hashes import UserHashes, hashes_of
from songline.processors.trending.song_index import RegionIndex, SongIndex

ids = st.text("ab-.:", min_size=1, max_size=3)


def test_hashes_that_were_saved_are_known_again() -> None:
    found = hashes_of([(0, "user-1", "song-1"), (1, "user-1", "song-1"), (2, "u", "s")]).tolist()
    assert [[f"{word:016x}" for word in row] for row in found] == SAVED


@given(st.sets(st.tuples(st.integers(0, 2), ids, ids), max_size=60))
def test_no_two_actions_share_a_hash(actions: set[tuple[int, str, str]]) -> None:
    rows = hashes_of(list(actions))
    assert rows.shape == (len(actions), 2)
    # Either word alone tells so few actions apart.
    assert len({*rows[:, 0].tolist()}) == len({*rows[:, 1].tolist()}) == len(actions)


def test_columns_of_ids_give_the_same_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_hashes, "MAX_USERS", 3)
    songs, users = SongIndex(), UserHashes()
    for start in range(5):
        user_ids = [f"user-{number}" for number in (start, 0, start + 1, start)]
        song_ids = [f"song-{number}" for number in (1, start, start, 0)]
        kinds = np.array([0, 1, 2, 0])
        users.trim()
        listeners = users.hashes.of(np.array([users[user_id] for user_id in user_ids]))
        rows = action_hashes.action_hashes(kinds, listeners, songs.hashes.of(songs.numbers(song_ids)))
        wanted = hashes_of(list(zip(kinds.tolist(), user_ids, song_ids, strict=True)))
        assert rows.tolist() == wanted.tolist()
        assert len(users) <= 3 + len(user_ids)


SAVED = [
    ["ace81e26a72599e6", "e321fa54f7c92ecf"],
    ["7e9d685978b886e9", "b4d74487c95c1bd2"],
    ["0378788a22459670", "6af8257dfabe48ba"],
]


@pytest.mark.parametrize("odd", ["", "...", "ä", "a b", "a/b", "x" * 129, "a\n"])
def test_what_is_no_id_is_not_kept(odd: str) -> None:
    for index in (SongIndex(), UserHashes()):
        index["a"]
        with pytest.raises(ValueError, match="is no id"):
            index[odd]
        assert (list(index), index["b"]) == (["a"], 1)


@pytest.mark.parametrize("odd", ["", "D", "DEU", "de", "D1", "\xc4\xd6"])
def test_what_is_no_region_is_not_kept(odd: str) -> None:
    regions = RegionIndex()
    with pytest.raises(ValueError, match="is no region"):
        regions[odd]
    assert not regions
