"""What a song is called, as far as it tells songs apart, and the ids of songs that are known by name only.

The same song is written in several ways: with guests in the title, beside the artist, or in a list of artists. Two
names are of one song where title and first artist agree once they are folded and guests are left out.
"""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct

from songline.schemas.search import name_key
from songline.schemas.types import NAME_PREFIX, Artists, Id, Text, Title

NAME_DIGITS = 32
SHARD_DIGITS = 2

_GUEST_WORD = r"(?:feat|ft|featuring)\b\.?"
_IN_BRACKETS = re.compile(rf"\s*[(\[]\s*{_GUEST_WORD}\s[^)\]]*[)\]]", re.IGNORECASE)
_BEHIND = re.compile(rf"\s+{_GUEST_WORD}\s.*$", re.IGNORECASE)


class NameKey(NamedTuple):
    """A title and an artist, folded, without guests."""

    title: str
    artist: str


class SongName(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song that is known by name only: the words that it was first met under. The document of the container `names`,
    whose partition key is `shard`, the first digits of the id."""

    id: Id
    shard: str
    title: Title
    artists: Artists
    album: Text | None = None


def key_of(title: str, artists: Sequence[str]) -> NameKey:
    """What tells the song apart. It has one artist at least."""
    return NameKey(title_key(title), artist_key(artists[0]))


def title_key(title: str) -> str:
    """A title, folded, without the guests in it."""
    return _folded(_BEHIND.sub("", _IN_BRACKETS.sub("", title)) or title)


def artist_key(artist: str) -> str:
    """An artist, folded, without the guests beside them."""
    return _folded(_BEHIND.sub("", _IN_BRACKETS.sub("", artist)) or artist)


def artist_keys(artists: Iterable[str]) -> frozenset[str]:
    """All artists, folded."""
    return frozenset(map(artist_key, artists))


def name_id(key: NameKey) -> str:
    """The id of the song that is known by this name only: the same for everybody, for good."""
    digest = sha256("\n".join(key).encode("utf-8", "replace")).hexdigest()
    return f"{NAME_PREFIX}{digest[:NAME_DIGITS]}"


def is_name_id(song_id: str) -> bool:
    """Whether the id is of a song that is known by name only."""
    return song_id.startswith(NAME_PREFIX)


def shard_of(song_id: str) -> str:
    """The partition key of a name's document."""
    return song_id.removeprefix(NAME_PREFIX)[:SHARD_DIGITS]


def song_name(title: str, artists: Sequence[str], album: str | None = None) -> SongName:
    """The document of the song that is known by this name."""
    song_id = name_id(key_of(title, artists))
    return SongName(id=song_id, shard=shard_of(song_id), title=title, artists=tuple(artists), album=album)


def _folded(text: str) -> str:
    return name_key(text) or text.strip()
