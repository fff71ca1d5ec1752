"""Each format of histories: for random histories, reading gives the listens that were written, to its resolution."""

import io
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryListen, HistoryRow, ReadOptions, SkippedRow, UnreadableHistoryError
from tests.support.histories import WRITERS, Heard

OPTIONS = ReadOptions("user-7")
SECOND_MS, MINUTE_MS = 1_000, 60_000

RESOLUTIONS_MS = {
    **dict.fromkeys(WRITERS, SECOND_MS),
    "spotify-year": MINUTE_MS,
    "lastfm-csv-bare": MINUTE_MS,
    "pano": 1,
    "youtube-music": 1,
}
TELLS_PLAYED = ("spotify", "spotify-year", "maloja")
TELLS_DURATION = ("listenbrainz", "maloja", "rockbox", "pano")
TELLS_ALBUM = set(WRITERS) - {"spotify-year", "youtube-music", "youtube-music-html"}

# Words without what the formats themselves use: tabs, and what YouTube puts around a title.
plain_words = st.text("abcXYZ äßØ東京,;\"'&<>|-#!÷1", min_size=1, max_size=20).map(str.strip).filter(bool)
# Titles with quotes of their own are likely, as formats use quotes too.
words = plain_words | st.builds(
    "{1[0]}{0}{1[1]}".format, plain_words, st.sampled_from(['""', "''", "«»", "„“", "“”", "「」"])
)
histories = st.lists(
    st.builds(
        Heard,
        began_ms=st.integers(1_000_000_000_000, 1_790_000_000_000),
        title=words,
        artist=words,
        album=st.none() | words,
        played_ms=st.integers(30, 500).map(lambda seconds: seconds * SECOND_MS),
        duration_ms=st.integers(30, 500).map(lambda seconds: seconds * SECOND_MS),
    ),
    min_size=1,
    max_size=8,
)


def read(data: bytes, options: ReadOptions = OPTIONS) -> list[HistoryRow]:
    return [row for _, row in read_history(io.BytesIO(data), options)]


def listens(data: bytes, options: ReadOptions = OPTIONS) -> list[HistoryListen]:
    rows = read(data, options)
    assert all(isinstance(row, HistoryListen) for row in rows), rows
    return [row for row in rows if isinstance(row, HistoryListen)]


def reference(name: str, history: Sequence[Heard]) -> list[tuple[object, ...]]:
    """What a file in this format can tell of a history."""
    step = RESOLUTIONS_MS[name]
    found: list[tuple[object, ...]] = []
    for heard in history:
        is_by_end = name.startswith("spotify")
        known_ms = heard.began_ms + heard.played_ms if is_by_end else heard.began_ms
        began_ms = known_ms // step * step - (heard.played_ms if is_by_end else 0)
        found.append(
            (
                began_ms,
                heard.title,
                (heard.artist,),
                heard.album if name in TELLS_ALBUM else None,
                heard.played_ms if name in TELLS_PLAYED else None,
                heard.duration_ms if name in TELLS_DURATION else None,
            )
        )
    return found


def told(row: HistoryListen) -> tuple[object, ...]:
    return row.began_ms, row.title, row.artists, row.album, row.played_ms, row.duration_ms


@pytest.mark.parametrize("name", WRITERS)
@effort(15)
@given(history=histories)
def test_reading_gives_what_was_written(name: str, history: list[Heard]) -> None:
    found = listens(WRITERS[name](history))
    assert sorted(map(repr, map(told, found))) == sorted(map(repr, reference(name, history)))


@effort(50)
@given(data=st.binary(max_size=200), begin=st.sampled_from(["", "[", "{", "<", "PK\x03\x04", "#AUDIOSCROBBLER/1.1\n"]))
def test_any_bytes_give_rows_or_a_refusal(data: bytes, begin: str) -> None:
    assert_read_or_refused(begin.encode("latin-1") + data)


@pytest.mark.parametrize("name", WRITERS)
@effort(15)
@given(history=histories, place=st.integers(0, 5_000), other=st.binary(max_size=3), cut=st.booleans())
def test_a_damaged_file_gives_rows_or_a_refusal(
    name: str, history: list[Heard], place: int, other: bytes, cut: bool
) -> None:
    data = WRITERS[name](history)
    place %= len(data)
    assert_read_or_refused(data[:place] + other + (b"" if cut else data[place + 1 :]))


def assert_read_or_refused(data: bytes) -> None:
    with suppress(UnreadableHistoryError):
        rows = read(data)
        assert all(isinstance(row, HistoryListen | SkippedRow) for row in rows)
