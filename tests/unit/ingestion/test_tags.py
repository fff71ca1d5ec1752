"""What a file says of itself, made fit to be shown."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.ingestion.audio import tags
from songline.schemas.commands import Metadata


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("  Paper \n Lanterns\t", "Paper Lanterns"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("\x1b[31mRed\x00", "[31mRed"),
        ("\u202egnos\u200b", "gnos"),
        ("x" * 1000, "x" * 300),
        ("99", "99"),
        ("???", None),
        ("\ufffd\ufffd", None),
        ("Unknown Artist", None),
        ("", None),
        (None, None),
    ],
)
def test_text(raw: str | None, shown: str | None) -> None:
    assert tags.text(raw) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Indie", "indie"),
        ("R&B", "r&b"),
        ("Rock & Roll / Blues", "rock & roll blues"),
        ("Chanson française", "chanson francaise"),
        ("(255)", None),
        ("演歌", None),
        ("Other", None),
        ("!!!", None),
        ("a" * 100, "a" * 64),
    ],
)
def test_genre(raw: str, shown: str | None) -> None:
    assert tags.genre(raw) == shown


@given(st.dictionaries(st.sampled_from(["title", "artist", "album", "genre"]), st.text(max_size=2000)))
def test_whatever_is_in_them_tags_keep_the_contract(words: dict[str, str]) -> None:
    cleaned = tags.clean(words)
    assert msgspec.convert(msgspec.to_builtins(cleaned), Metadata) == cleaned
    assert tags.clean(msgspec.structs.asdict(cleaned)) == cleaned


@pytest.mark.parametrize(
    ("file_name", "title"),
    [
        ("Paper_Lanterns.mp3", "Paper Lanterns"),
        ("C:\\Music\\Dusk.flac", "Dusk"),
        ("../../etc/passwd", "passwd"),
        (".mp3", "mp3"),
        ("???.mp3", "Untitled"),
        (None, "Untitled"),
    ],
)
def test_a_song_without_a_title_is_called_after_its_file(file_name: str | None, title: str) -> None:
    assert re.sub(r"^\.", "", tags.title_from(file_name)) == title


def test_what_the_uploader_says_goes_before_what_the_file_says() -> None:
    found = Metadata(title="track01", artist="Nova Reed", genre="indie")
    assert tags.over(Metadata(title="Paper Lanterns"), found) == Metadata(
        title="Paper Lanterns", artist="Nova Reed", genre="indie"
    )
