"""Text of others: on one line, with nothing in it that moves a cursor or turns a direction."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.commands import IngestSong, Metadata, Upload, read_metadata
from songline.schemas.commands import clean as clean_order
from songline.schemas.errors import ContractViolationError
from songline.schemas.texts import SEEN_PATTERN, clean, clean_file_name, clean_or_none, encodable

DIRTY = (
    "\0\x07\x1b\x7f\x85\x9b\u061c\u200b\u200e\u200f\u2028"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ud800"
)
texts = st.text(st.characters() | st.sampled_from(DIRTY + "\r\n\t \u200d"))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Paper Lanterns", "Paper Lanterns"),
        ("", ""),
        (" a ", "a"),
        ("one\ntwo", "one two"),
        ("one\r\n\u200b\ttwo", "one two"),
        ("one\u2028two\u0085three", "one two three"),
        ("a\0b\x1b[31mc\x9b2Jd\x7f", "ab[31mc2Jd"),
        ("\u202egpj.exe\u2066x\u2069\u200e\u200f\u061c", "gpj.exex"),
        ("\ufeffa\ud800b\udfff", "ab"),
        ("a  b", "a  b"),
        ("naïve \u00a0ü", "naïve \u00a0ü"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"),
    ],
)
def test_what_is_left_of_a_text(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(texts)
def test_a_clean_text_is_safe_and_stays_as_it_is(raw: str) -> None:
    shown = clean(raw)
    assert clean(shown) == shown
    assert len(shown) <= len(raw)
    assert not set(DIRTY) & set(shown)
    assert not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in shown)
    shown.encode()


@given(texts)
def test_nothing_that_can_be_seen_is_lost(raw: str) -> None:
    seen = re.compile(SEEN_PATTERN)
    kept = [sign for sign in raw if seen.search(sign) and unicodedata.category(sign) not in ("Cs", "Cn")]
    assert [sign for sign in clean(raw) if sign in kept] == kept


@pytest.mark.parametrize("raw", [None, "", " ", "\u200d", "\0\x1b", "\u202e\u2066", "\u00a0\u3000", "\ud800"])
def test_what_shows_nothing_is_missing(raw: str | None) -> None:
    assert clean_or_none(raw) is None


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (None, None),
        ("song.mp3", "song.mp3"),
        ("/home/ana/song.mp3", "song.mp3"),
        ("C:\\Music\\song.mp3", "song.mp3"),
        ("\\\\server\\music\\song.mp3", "song.mp3"),
        ("c:/Music\\song.mp3", "song.mp3"),
        ('say "hi" a\\b.mp3', 'say "hi" a\\b.mp3'),
        ("music/a\\b.mp3", "a\\b.mp3"),
        ("..", ".."),
        ("music/", None),
        ("a\nb\x1b[2J\u202e3pm.mp3", "ab[2J3pm.mp3"),
        ("x" * 300 + ".mp3", "x" * 251 + ".mp3"),
    ],
)
def test_the_name_of_a_file(raw: str | None, name: str | None) -> None:
    assert clean_file_name(raw) == name


@given(st.text(st.characters()))
def test_any_text_can_be_made_encodable(text: str) -> None:
    assert len(encodable(text).encode().decode()) == len(text)


def test_what_an_uploader_types_is_clean() -> None:
    said = {
        "title": "One\nTwo\u202e",
        "artist": "\0",
        "album": " \x1b[2JDusk ",
        "genre": "\tIndie\n",
        "other": "\ud800",
    }
    assert read_metadata(said) == Metadata(title="One Two", album="[2JDusk", genre="indie")


@pytest.mark.parametrize(
    ("field", "value"), [("title", "x" * 301), ("genre", "🎷"), ("genre", "x" * 65), ("genre", "<b>")]
)
def test_what_breaks_a_rule_is_refused_in_plain_words(field: str, value: str) -> None:
    with pytest.raises(ContractViolationError) as caught:
        read_metadata({field: value})
    assert caught.value.violation.field == field
    assert "`" not in caught.value.violation.rule


def test_a_command_that_is_in_the_queue_already_is_read_clean() -> None:
    upload = Upload(sha256="ab" * 32, size=3, content_type="audio/flac")
    dirty = Metadata(title="\x1b[31mOne", artist="\u202e")
    order = IngestSong(user_id="ana", upload=upload, file_name="../\u202esong.mp3\n", metadata=dirty)
    read = clean_order(order)
    assert isinstance(read, IngestSong)
    assert (read.file_name, read.metadata) == ("song.mp3", Metadata(title="[31mOne"))
    assert clean_order(read) is read
