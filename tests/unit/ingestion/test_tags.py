"""What a file says of itself, made fit to be shown."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.ingestion.audio import tags
from songline.schemas.commands import IngestSong, Metadata, Upload, clean

UPLOAD = Upload(sha256="0" * 64, size=1, content_type="audio/mpeg")


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
        ("÷", "÷"),
        ("!!!", "!!!"),
        ("-", None),
        ("\u200d", None),
        ("Unknown Artist", None),
        ("", None),
        (None, None),
    ],
)
def test_text(raw: str | None, shown: str | None) -> None:
    assert tags.text(raw) == shown


@pytest.mark.parametrize(
    ("raw", "artist", "artists"),
    [
        ({"artist": ["Nova Reed", "Ivo Lind"]}, "Nova Reed, Ivo Lind", ("Nova Reed", "Ivo Lind")),
        ({"artist": ["Nova Reed; Ivo Lind"]}, "Nova Reed, Ivo Lind", ("Nova Reed", "Ivo Lind")),
        ({"artist": ["Nova Reed\0Ivo Lind"]}, "Nova Reed, Ivo Lind", ("Nova Reed", "Ivo Lind")),
        ({"artist": ["", " ", "Nova Reed"]}, "Nova Reed", None),
        ({"artist": ["Nova Reed", "Nova Reed"]}, "Nova Reed", None),
        ({"artist": ["Unknown Artist", "Nova Reed"]}, "Nova Reed", None),
        ({"artist": [""], "album_artist": ["Nova Reed"]}, "Nova Reed", None),
        ({"album_artist": ["Nova Reed", "Ivo Lind"]}, "Nova Reed, Ivo Lind", ("Nova Reed", "Ivo Lind")),
        ({"artist": ["Nova Reed"], "album_artist": ["Various"]}, "Nova Reed", None),
        ({"artist": ["Reed feat. Lind"], "artists": ["Reed", "Lind"]}, "Reed feat. Lind", ("Reed", "Lind")),
        ({"artist": ["AC/DC"]}, "AC/DC", None),
        ({"artist": ["Earth, Wind & Fire"]}, "Earth, Wind & Fire", None),
        ({"artist": ["!!!"]}, "!!!", None),
        ({}, None, None),
    ],
)
def test_all_artists_are_kept(raw: dict[str, list[str]], artist: str | None, artists: tuple[str, ...] | None) -> None:
    found = tags.read(raw)
    assert (found.artist, found.artists) == (artist, artists)


def test_many_artists_are_shown_as_far_as_there_is_room() -> None:
    names = [f"{'Artist' * 8} {number}" for number in range(30)]
    found = tags.read({"artist": names})
    assert found.artists == tuple(names[:20])
    assert found.artist is not None
    assert len(found.artist) <= 300
    assert found.artist.startswith(f"{names[0]}, {names[1]}")


@pytest.mark.parametrize(
    ("values", "genre", "genres"),
    [
        (["Indie"], "indie", None),
        (["Synth-Pop; Rock"], "synth-pop", ("synth-pop", "rock")),
        (["Synth-Pop", "", "Rock"], "synth-pop", ("synth-pop", "rock")),
        (["Rock & Roll / Blues"], "rock & roll", ("rock & roll", "blues")),
        (["Джаз"], "джаз", None),
        (["(17)"], "rock", None),
        (["17"], "rock", None),
        (["(255)", "Other", "!!!"], None, None),
        (["Rock", "ROCK"], "rock", None),
    ],
)
def test_genres_are_told_apart(values: list[str], genre: str | None, genres: tuple[str, ...] | None) -> None:
    found = tags.read({"genre": values})
    assert (found.genre, found.genres) == (genre, genres)


raw_tags = st.dictionaries(
    st.sampled_from(["title", "artist", "artists", "album_artist", "album", "genre"]),
    st.lists(st.text(max_size=2000), max_size=30),
)


@given(raw_tags)
def test_whatever_is_in_them_tags_keep_the_contract(raw: dict[str, list[str]]) -> None:
    found = tags.read(raw)
    assert msgspec.convert(msgspec.to_builtins(found), Metadata) == found
    assert clean(IngestSong(user_id="user-3", upload=UPLOAD, metadata=found)) == IngestSong(
        user_id="user-3", upload=UPLOAD, metadata=found
    )


@pytest.mark.parametrize(
    ("file_name", "title"),
    [
        ("Paper_Lanterns.mp3", "Paper Lanterns"),
        ("C:\\Music\\Dusk.flac", "Dusk"),
        ('say "hi" a\\b.mp3', 'say "hi" a\\b'),
        ("Mr. Blue Sky", "Mr. Blue Sky"),
        ("01. Dusk.mp3", "01. Dusk"),
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
