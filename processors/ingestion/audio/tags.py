"""The tags of a file, cleaned so that they can be shown: anything may stand in them."""

import re
import unicodedata

from songline.processors.ingestion.audio.raw_tags import genre_of
from songline.processors.ingestion.audio.sound import RawTags
from songline.schemas.commands import Metadata
from songline.schemas.genres import genre_names
from songline.schemas.names import several, shown_artist, split_artists
from songline.schemas.texts import clean_file_name, clean_or_none
from songline.schemas.types import GENRES_MAX

TEXT_MAX = 300
UNTITLED = "Untitled"
UNKNOWN_ARTIST = "Unknown artist"

_NUMBER = re.compile(r"\(?(\d{1,3})\)?")
_ENDING = re.compile(r"(?<=.)\.[A-Za-z0-9]{1,5}$")
# What is written where nothing is known, or where text was lost.
_FILLERS = "?._- \ufffd"
_SPACES = re.compile(r"\s+")
_SAYS_NOTHING = {"unknown", "unknown artist", "unknown album", "untitled", "other", "none", "null", "n/a", "?"}


def read(raw: RawTags) -> Metadata:
    """Metadata from tags as they stand in a file. What says nothing is passed over; an album's artist stands for
    missing ones."""
    artists = _texts(raw, "artist") or _texts(raw, "album_artist")
    named = _texts(raw, "artists")
    genres = tuple(dict.fromkeys(name for value in raw.get("genre", ()) for name in _genres(value)))[:GENRES_MAX]
    return Metadata(
        title=next(iter(_texts(raw, "title")), None),
        artist=shown_artist(artists or named),
        album=next(iter(_texts(raw, "album")), None),
        genre=genres[0] if genres else None,
        artists=several(named if len(named) > 1 else artists),
        genres=genres if len(genres) > 1 else None,
    )


def _texts(raw: RawTags, name: str) -> list[str]:
    values = raw.get(name, [])
    parts = [part for value in values for part in split_artists(value)] if "artist" in name else values
    return [shown for part in parts if (shown := text(part)) is not None]


def _genres(value: str) -> tuple[str, ...]:
    """The genres of one value, which may be ID3v1's number of one."""
    number = _NUMBER.fullmatch(value.strip())
    return genre_names(genre_of(int(number[1])) or "" if number else value)


def over(forced: Metadata, found: Metadata) -> Metadata:
    """`forced`, and what it leaves open from `found`."""
    return Metadata(
        title=forced.title or found.title,
        artist=forced.artist or found.artist,
        album=forced.album or found.album,
        genre=forced.genre or found.genre,
        artists=(forced if forced.artist else found).artists,
        genres=(forced if forced.genre else found).genres,
    )


def text(raw: str | None) -> str | None:
    """One line of at most 300 characters, composed (NFC) and clean (see `schemas.texts`); None if it says nothing."""
    if raw is None:
        return None
    composed = unicodedata.normalize("NFC", raw[: 20 * TEXT_MAX])
    line = _SPACES.sub(" ", clean_or_none(composed) or "").strip()[:TEXT_MAX].strip()
    if not clean_or_none(line) or not line.strip(_FILLERS) or line.casefold() in _SAYS_NOTHING:
        return None
    return line


def title_from(file_name: str | None) -> str:
    """The title of a song whose tags have none: its file's name, without folders and ending."""
    name = clean_file_name(file_name) or ""
    return text(_ENDING.sub("", name).replace("_", " ")) or UNTITLED
