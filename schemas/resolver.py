"""Finds the song that the words of a listen mean. Pure: the candidates are read by the caller.

An ISRC and a MusicBrainz id say it exactly. Otherwise title and artist decide, folded, and the length where both are
known: a live recording has the same words. What matches nothing is a song that is known by name only.
"""

from collections.abc import Container, Iterable
from typing import Literal

from msgspec import Struct

from songline.schemas.search import folded, words
from songline.schemas.song_names import NameKey, artist_key, artist_keys, key_of, name_id, title_key
from songline.schemas.songs import Song

SAME_LENGTH_MS = 10_000
SAME_LENGTH_SHARE = 0.05
"""Lengths of one recording differ by so much between services, whichever is more."""

How = Literal["joined", "isrc", "mbid", "words", "name"]
"""By what a listen's song was found. `joined`: somebody said that this name is that song. `name`: by name only."""


class SongWords(Struct, frozen=True, kw_only=True):
    """What a listen says of its song: title and artists, one at least, and more where it is known."""

    title: str
    artists: tuple[str, ...]
    duration_ms: int | None = None
    recording_mbid: str | None = None
    isrc: str | None = None

    @property
    def key(self) -> NameKey:
        """What tells the song apart."""
        return key_of(self.title, self.artists)


class SongCandidate(Struct, frozen=True, kw_only=True):
    """A song of the catalog that a listen may mean. `uploaded_ms`: Unix milliseconds."""

    song_id: str
    title: str
    artists: tuple[str, ...]
    duration_ms: int | None = None
    uploaded_ms: int = 0
    recording_mbid: str | None = None
    isrc: str | None = None


class SongMatch(Struct, frozen=True):
    """The song that a listen means, and by what it was found."""

    song_id: str
    how: How


def resolve(song: SongWords, candidates: Iterable[SongCandidate], joined: Container[str]) -> SongMatch:
    """The song that the words mean. `joined` has the names of which somebody said which song they are: events are of
    the name then, and whatever reads them knows the song, also after that was taken back.

    Of several candidates with the same words the one whose length is nearest is meant, then the oldest: the order of
    `candidates` changes nothing.
    """
    key = song.key
    name = name_id(key)
    if name in joined:
        return SongMatch(name, "joined")
    found = sorted(candidates, key=lambda one: (one.uploaded_ms, one.song_id))
    for one in found:
        if song.isrc is not None and one.isrc == song.isrc:
            return SongMatch(one.song_id, "isrc")
    for one in found:
        if song.recording_mbid is not None and one.recording_mbid == song.recording_mbid:
            return SongMatch(one.song_id, "mbid")
    fitting = [one for one in found if _has_words(one, song, key) and _has_length(one, song)]
    if not fitting:
        return SongMatch(name, "name")
    return SongMatch(min(fitting, key=lambda one: _apart_ms(one, song)).song_id, "words")


def candidate_word(title: str) -> str:
    """A word that each song of this title has among its words, for a query: the longest that stands by itself."""
    found = words(title)
    alone = sorted(set(found).intersection(folded(title).split()), key=lambda word: (-len(word), word))
    return (alone or found or ("",))[0]


def candidate_of(song: Song) -> SongCandidate:
    """A song of the catalog as a candidate."""
    return SongCandidate(
        song_id=song.id,
        title=song.title,
        artists=song.artists or (song.artist,),
        duration_ms=song.duration_ms or None,
        uploaded_ms=int(song.uploaded_at.timestamp() * 1_000),
    )


def _has_words(one: SongCandidate, song: SongWords, key: NameKey) -> bool:
    if title_key(one.title) != key.title or not one.artists:
        return False
    return key.artist in artist_keys(one.artists) or artist_key(one.artists[0]) in artist_keys(song.artists)


def _has_length(one: SongCandidate, song: SongWords) -> bool:
    if not one.duration_ms or not song.duration_ms:
        return True
    return _apart_ms(one, song) <= max(SAME_LENGTH_MS, SAME_LENGTH_SHARE * song.duration_ms)


def _apart_ms(one: SongCandidate, song: SongWords) -> int:
    return abs(one.duration_ms - song.duration_ms) if one.duration_ms and song.duration_ms else 0
