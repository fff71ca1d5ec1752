"""Text as it is searched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.search import MAX_WORD, MAX_WORDS, folded, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sigur  Rós ", "sigur ros"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁn", "fin"),
        ("!!!", "!!!"),
        ("\uff26\uff55ll", "full"),
        ("ΟΔΥΣΣΕΥΣ", folded("οδυσσευς")),
    ],
)
def test_text_is_folded(text: str, expected: str) -> None:
    assert folded(text) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("Don't Stop", "Motörhead"), ("don", "t", "stop", "motorhead")),
        (("snake_case", None, ""), ("snake", "case")),
        (("a b", "B c"), ("a", "b", "c")),
        (("夜 dance夜空",), ("夜", "dance", "空")),
        (("!!!",), ()),
    ],
)
def test_words_are_found(texts: tuple[str | None, ...], expected: tuple[str, ...]) -> None:
    assert words(*texts) == expected


def test_words_are_bounded() -> None:
    assert len(words(" ".join(map(str, range(500))))) == MAX_WORDS
    assert words("x" * 300) == ("x" * MAX_WORD,)


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text())
def test_a_text_is_found_by_its_own_words(text: str) -> None:
    assert set(words(folded(text))) == set(words(text))
