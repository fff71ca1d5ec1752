"""Quotes around titles of YouTube Music: those of the account's language go, those of a song stay."""

import io
import json
from collections.abc import Sequence

import pytest

from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryListen, ReadOptions
from tests.support.histories import Heard, youtube_html


def view(text: str, artist: str = "Benno Falk") -> dict[str, object]:
    return {
        "header": "YouTube Music",
        "title": text,
        "titleUrl": "https://music.youtube.com/watch?v=x",
        "subtitles": [{"name": f"{artist} - Topic"}],
        "time": "2021-03-22T16:55:00Z",
    }


def titles(data: bytes) -> list[str]:
    rows = [row for _, row in read_history(io.BytesIO(data), ReadOptions("user-7"))]
    return [row.title for row in rows if isinstance(row, HistoryListen)]


def titles_of(*texts: str) -> list[str]:
    return titles(json.dumps([view(text, f"A{number}") for number, text in enumerate(texts)]).encode())


@pytest.mark.parametrize(
    "title", ['"Heroes"', "“Heroes”", "„Heroes“", "«Heroes»", "「Heroes」", '"1"', "'1'", '"A" / "B"']
)
@pytest.mark.parametrize("words", ["Watched", "Viewed", "Listened to"])
def test_english_puts_no_quotes(words: str, title: str) -> None:
    assert titles_of(f"{words} {title}") == [title]
    # Nor where there are enough songs to see what they have in common.
    assert titles_of(*[f"{words} {title}"] * 3, *(f"{words} «{number}»" for number in range(20))) == [
        *[title] * 3,
        *(f"«{number}»" for number in range(20)),
    ]
    many = [title.replace("1", f"1{number}").replace("Heroes", f"Heroes {number}") for number in range(20)]
    assert titles_of(*(f"{words} {one}" for one in many)) == many
    assert titles(youtube_html([Heard(1_616_432_100_000, title, "Benno Falk")])) == [title]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["Просмотрено видео «Paper Lanterns»"], ["Paper Lanterns"]),
        (["Просмотрено видео «Paper Lanterns»", "Просмотрено видео «„Heroes“»"], ["Paper Lanterns", "„Heroes“"]),
        (["观看了「Paper Lanterns」"], ["Paper Lanterns"]),
        (["“Paper Lanterns” gezien", "“Heroes” gezien"], ["Paper Lanterns", "Heroes"]),
    ],
)
def test_a_language_whose_titles_all_stand_in_quotes_puts_them(texts: Sequence[str], found: Sequence[str]) -> None:
    assert titles_of(*texts) == found


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["„Heroes“ angesehen", "Paper Lanterns angesehen"], ["„Heroes“", "Paper Lanterns"]),
        (["Visto: «Heroes»", "Visto: Paper Lanterns"], ["«Heroes»", "Paper Lanterns"]),
        # What begins in one kind of quotes and ends in another stands in none.
        (["Просмотрено видео «Heroes”"], ["«Heroes”"]),
        # A language is known by its words: another one says nothing of it.
        (["„Heroes“ angesehen", "A angesehen", "观看了「B」", 'Watched "C"'], ["„Heroes“", "A", "B", '"C"']),
        # A video that has gone shows what is around a title.
        (["Visto https://music.youtube.com/watch?v=x", "Visto «Heroes»"], ["«Heroes»"]),
    ],
)
def test_a_language_that_has_titles_without_quotes_puts_none(texts: Sequence[str], found: Sequence[str]) -> None:
    assert titles_of(*texts) == found
