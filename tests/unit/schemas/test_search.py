"""Text as it is searched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.search import MAX_WORD, MAX_WORDS, folded, matches, name_key, terms, words


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
        ("Røyksopp \u2013 Þórsmörk", "royksopp - thorsmork"),
        ("Don\u2019t", "don't"),
        ("Ещё", "еще"),
        ("ガンダム", "ガンダム"),
        ("ｶﾞﾝﾀﾞﾑ", "ガンダム"),
        ("हिन्दी", "हिन्दी"),
        ("เพลง", "เพลง"),
        ("\u2764\ufe0f", "\u2764"),
    ],
)
def test_text_is_folded(text: str, expected: str) -> None:
    assert folded(text) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("Don't Stop", "Motörhead"), ("don", "t", "stop", "motorhead", "dont")),
        (("R.E.M.",), ("r", "e", "m", "rem")),
        (("R. E. M.",), ("r", "e", "m", "rem")),
        (("-M-", "C# Minor"), ("m", "c", "minor", "-m-", "c#")),
        (("(÷)",), ("(÷)", "÷")),
        (("हिन्दी गीत",), ("हिन्दी", "गीत")),
        (("snake_case", None, ""), ("snake", "case", "snakecase")),
        (("a b", "B c"), ("a", "b", "c", "ab", "bc")),
        (("夜 dance夜空",), ("夜", "dance", "空")),
        (("!!!",), ("!!!",)),
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


@given(st.text())
def test_every_text_is_found_by_itself(text: str) -> None:
    held = words(text)
    if len(held) < MAX_WORDS:
        assert matches(terms(text), held)


SONGS = {
    "divide": ("÷", "Ed Sheeran"),
    "heart": ("Heart It Races", "!!!"),
    "machistador": ("Machistador", "-M-"),
    "losing": ("Losing My Religion", "R.E.M."),
    "shiny": ("Shiny Happy People", "REM"),
    "thunder": ("Thunderstruck", "AC/DC"),
    "empire": ("Empire State of Mind", "Jay-Z"),
    "sharp": ("Prelude in C# Minor", "Sergei Rachmaninoff"),
    "number": ("#1 Crush", "Garbage"),
    "question": ("???", "Mira Moon"),
    "lanterns": ("Paper Lanterns", "Nova Reed & Ivo Lind"),
    "dont": ("Don\u2019t Stop", "Fleetwood Mac"),
    "remember": ("Remember Me", "Meridian"),
    "mister": ("Mr. Brightside", "The Killers"),
    "jazz": ("Джаз", "Кино"),
}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("÷", {"divide"}),
        ("÷ sheeran", {"divide"}),
        ("!!!", {"heart"}),
        ("\uff01\uff01\uff01", {"heart"}),
        ("-M-", {"machistador"}),
        ("-m-", {"machistador"}),
        ("\u2013M\u2013", {"machistador"}),
        ("R.E.M.", {"losing", "shiny"}),
        ("rem", {"losing", "shiny", "remember"}),
        ("AC/DC", {"thunder"}),
        ("acdc", {"thunder"}),
        ("ac dc", {"thunder"}),
        ("Jay Z", {"empire"}),
        ("JAY-Z", {"empire"}),
        ("C#", {"sharp"}),
        ("#1", {"number"}),
        ("???", {"question"}),
        ("Reed & Lind", {"lanterns"}),
        ("Nova Reed, Ivo Lind", {"lanterns"}),
        ("Reed - Paper", {"lanterns"}),
        ("don't stop", {"dont"}),
        ("dont", {"dont"}),
        ("Mr.", {"mister"}),
        ("mr", {"mister"}),
        ("ДЖАЗ", {"jazz"}),
        ("\u00d7", set()),
        ("$$$", set()),
        ("-X-", set()),
        ("@", set()),
        ("&", {"lanterns"}),
        ("M.", {"machistador", "losing"}),
    ],
)
def test_signs_find_what_has_them_or_nothing(asked: str, found: set[str]) -> None:
    held = {name: words(*texts) for name, texts in SONGS.items()}
    wanted = terms(asked)
    assert wanted
    assert {name for name, song in held.items() if matches(wanted, song)} == found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("R.E.M.", "REM"),
        ("Jay-Z", "JAY Z"),
        ("AC/DC", "Acdc"),
        ("Sigur Rós", "sigur ros"),
        ("Guns N\u2019 Roses", "Guns N' Roses"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        ("\uff2d\uff29\uff21", "M.I.A."),
        ("Кино", "КИНО"),
    ],
)
def test_spellings_of_a_name_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_names_of_signs_have_keys_of_their_own() -> None:
    names = ["!!!", "???", "÷", "\u00d7", "-M-", "M", "+", "ガ", "カ", "हि", "ही"]
    assert len({name_key(name) for name in names}) == len(names)


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    assert name_key(name_key(text)) == name_key(text)
