"""What a listen is, at the ends of the rule, and trending's way of asking it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells.columns import read_batch
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.listening import LISTEN_MS, is_listen
from songline.schemas.types import DAY_MS

MOMENT = datetime(2026, 11, 22, 14, tzinfo=UTC)
lengths = st.integers(0, DAY_MS) | st.integers(0, 70_000)
unsure = st.none() | lengths


@pytest.mark.parametrize(
    ("played_ms", "duration_ms", "listen"),
    [
        (0, 0, False),
        (0, 1, False),
        (0, 200_000, False),
        (0, DAY_MS, False),
        (1, 0, True),
        (LISTEN_MS, 0, True),
        (1, 1, True),
        (1, 2, True),
        (1, 3, False),
        (2, 3, True),
        (9_999, 20_000, False),
        (10_000, 20_000, True),
        (10_000, 20_001, False),
        (10_001, 20_001, True),
        (29_999, 59_998, True),
        (29_999, 59_999, False),
        (29_999, 60_000, False),
        (30_000, 60_001, True),
        (25_000, 20_000, True),
        (29_999, DAY_MS, False),
        (30_000, DAY_MS, True),
        (DAY_MS, DAY_MS, True),
        (DAY_MS, 0, True),
        (DAY_MS, 1, True),
        (None, None, True),
        (None, 0, True),
        (None, 200_000, True),
        (0, None, False),
        (1, None, False),
        (LISTEN_MS - 1, None, False),
        (LISTEN_MS, None, True),
    ],
)
def test_the_ends_of_the_rule(played_ms: int | None, duration_ms: int | None, listen: bool) -> None:
    assert is_listen(played_ms, duration_ms) is listen
    assert in_trending(played_ms, duration_ms) is listen


@given(unsure, unsure)
def test_trending_counts_what_is_a_listen(played_ms: int | None, duration_ms: int | None) -> None:
    assert in_trending(played_ms, duration_ms) is is_listen(played_ms, duration_ms)


@given(lengths, unsure, st.integers(0, DAY_MS))
def test_to_hear_more_never_makes_less_of_it(played_ms: int, duration_ms: int | None, more: int) -> None:
    assert is_listen(played_ms, duration_ms) <= is_listen(min(played_ms + more, DAY_MS), duration_ms)


def in_trending(played_ms: int | None, duration_ms: int | None) -> bool:
    data = SongPlayed(user_id="ana", song_id="s", played_ms=played_ms, duration_ms=duration_ms, region="DE")
    body = encode(Event(id="e", source="/s", time=MOMENT, data=data))
    return len(read_batch([body], [-1], SongIndex(), RegionIndex(), UserHashes()).codes) == 1
