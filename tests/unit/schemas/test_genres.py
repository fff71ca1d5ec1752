"""One rule for genres, at every door."""

import re

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from songline.schemas.genres import asked_genre, genre_name, genre_names
from songline.schemas.types import GENRE_PATTERN, Genre


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Indie", "indie"),
        ("R&B", "r&b"),
        ("Chanson française", "chanson francaise"),
        ("Джаз", "джаз"),
        ("СИНТИ-ПОП", "синти-поп"),
        ("演歌", "演歌"),
        ("ジャズ", "ジャズ"),
        ("हिन्दी", "हिन्दी"),
        ("한국 음악", "한국 음악"),
        ("\uff2a\uff21\uff3a\uff3a", "jazz"),
        ("\U0001e900", "\U0001e922"),
        ("Rock\u2019n\u2019Roll", "rock'n'roll"),
        ("a" * 100, "a" * 64),
        ("(255)", None),
        ("Other", None),
        ("!!!", None),
        ("\u0301", None),
        ("", None),
    ],
)
def test_a_genre_has_one_name(raw: str, name: str | None) -> None:
    assert genre_name(raw) == name


@given(st.text())
@example("\u1e6f\u20da").via("a mark between a letter and its accent")
def test_any_text_names_a_genre_that_keeps_the_contract_or_none(raw: str) -> None:
    name = genre_name(raw)
    if name is not None:
        assert msgspec.convert(name, Genre) == name
        assert genre_name(name) == name
    assert all(genre_name(each) == each for each in genre_names(raw))


@given(st.from_regex(GENRE_PATTERN))
def test_what_the_former_contract_allowed_is_its_own_name_still(raw: str) -> None:
    former = re.fullmatch(r"[a-z0-9][a-z0-9 &+'-]{0,63}", raw)
    if former is not None and genre_name(raw) is not None:
        assert asked_genre(raw) is not None


def test_a_question_names_one_genre() -> None:
    assert asked_genre("Джаз") == "джаз"
    assert [asked_genre(text) for text in ("Rock; Pop", "rock/pop", "!!!", "", "x" * 65, "<b>")] == [None] * 6
