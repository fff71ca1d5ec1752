"""Listens find their songs: by identifiers, by folded words and length, and else by name only."""

from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.schemas.resolver import SongCandidate, SongMatch, SongWords, candidate_word, resolve
from songline.schemas.search import words
from songline.schemas.song_names import is_name_id, key_of, name_id, song_name

MBID = "7b3e1b52-6c1f-4d20-9a53-111111111111"
LANTERNS = SongCandidate(song_id="song-1", title="Paper Lanterns", artists=("Benno Falk",), duration_ms=201_000)


def listen(title: str, *artists: str, duration_ms: int | None = None, mbid: str | None = None) -> SongWords:
    return SongWords(title=title, artists=artists, duration_ms=duration_ms, recording_mbid=mbid)


@dataclass
class Spelling:
    title: str
    artists: tuple[str, ...]


@pytest.mark.parametrize(
    "spelling",
    [
        Spelling("paper lanterns", ("BENNO FALK",)),
        Spelling("Paper-Lanterns!", ("Benno  Fálk",)),
        Spelling("\uff30aper Lanterns", ("Benno Falk",)),  # a wide letter
        Spelling("Paper Lanterns (feat. Alba Reed)", ("Benno Falk",)),
        Spelling("Paper Lanterns [ft. Alba Reed]", ("Benno Falk", "Alba Reed")),
        Spelling("Paper Lanterns", ("Benno Falk feat. Alba Reed",)),
        Spelling("Paper Lanterns featuring Alba Reed", ("Benno Falk",)),
    ],
)
def test_spellings_of_one_song_are_one(spelling: Spelling) -> None:
    song = listen(spelling.title, *spelling.artists)
    assert resolve(song, [LANTERNS], {}) == SongMatch("song-1", "words")
    assert name_id(song.key) == name_id(key_of("Paper Lanterns", ["Benno Falk"]))


@pytest.mark.parametrize(
    "song",
    [
        listen("Paper Lantern", "Benno Falk"),
        listen("Paper Lanterns", "Alba Reed"),
        listen("Paper Lanterns (Live)", "Benno Falk"),
        listen("Paper Lanterns", "Benno Falk", duration_ms=260_000),
        listen("!!!", "Benno Falk"),
    ],
)
def test_other_words_are_another_song_that_is_known_by_name(song: SongWords) -> None:
    match = resolve(song, [LANTERNS], {})
    assert match.how == "name"
    assert match.song_id == name_id(song.key)
    assert is_name_id(match.song_id)


def test_names_keep_their_ids_for_good() -> None:
    assert song_name("Paper Lanterns", ("Benno Falk", "Alba Reed")).id == "name:c46c03ddbc6889f9c62d597911dc3c63"
    assert song_name("÷", ("!!!",)).id == song_name(" ÷ ", ("!!!",)).id
    assert song_name("÷", ("!!!",)).id != song_name("×", ("!!!",)).id  # noqa: RUF001  # a sign of its own


def test_the_nearest_length_is_meant_then_the_oldest_song() -> None:
    live = SongCandidate(song_id="live", title="Paper Lanterns", artists=("Benno Falk",), duration_ms=209_000)
    copy = SongCandidate(
        song_id="copy", title="Paper Lanterns", artists=("Benno Falk",), duration_ms=201_000, uploaded_ms=5
    )
    for order in permutations([LANTERNS, live, copy]):
        assert resolve(listen("Paper Lanterns", "Benno Falk", duration_ms=208_000), order, {}).song_id == "live"
        assert resolve(listen("Paper Lanterns", "Benno Falk", duration_ms=200_000), order, {}).song_id == "song-1"
        assert resolve(listen("Paper Lanterns", "Benno Falk"), order, {}).song_id == "live"


def test_identifiers_and_joins_say_it_exactly() -> None:
    other = SongCandidate(song_id="song-2", title="X", artists=("Y",), recording_mbid=MBID, isrc="DEA123456789")
    candidates = [LANTERNS, other]
    assert resolve(listen("Paper Lanterns", "Benno Falk", mbid=MBID), candidates, {}) == SongMatch("song-2", "mbid")
    by_isrc = SongWords(title="Z", artists=("Z",), isrc="DEA123456789")
    assert resolve(by_isrc, candidates, {}) == SongMatch("song-2", "isrc")
    # Events are of the name: whatever reads them knows the song, also once that is taken back.
    name = name_id(by_isrc.key)
    assert resolve(by_isrc, candidates, {name}) == SongMatch(name, "joined")


def test_any_of_several_artists_may_be_the_one_that_the_catalog_has() -> None:
    assert resolve(listen("Paper Lanterns", "Alba Reed", "Benno Falk"), [LANTERNS], {}).song_id == "song-1"
    several = SongCandidate(song_id="song-1", title="Paper Lanterns", artists=("Alba Reed", "Benno Falk"))
    assert resolve(listen("Paper Lanterns", "Benno Falk"), [several], {}).song_id == "song-1"


@effort(70)
@given(title=st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip())))
def test_a_song_is_among_those_that_have_the_word_of_its_title(title: str) -> None:
    word = candidate_word(title)
    assert not words(title) or word in words(title)
    assert candidate_word(title.upper()) == candidate_word(title.upper())
