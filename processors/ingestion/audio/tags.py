"""The tags of a file, cleaned so that they can be shown: anything may stand in them."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath

from msgspec import structs

from songline.processors.ingestion.audio.sound import RawTags
from songline.schemas.commands import Metadata
from songline.schemas.texts import clean as clean_text

TEXT_MAX = 300
GENRE_MAX = 64
UNTITLED = "Untitled"
UNKNOWN_ARTIST = "Unknown artist"

_NOT_IN_GENRE = re.compile(r"[^a-z0-9 &+'-]+")
_SPACES = re.compile(r"\s+")
_SAYS_NOTHING = {"unknown", "unknown artist", "unknown album", "untitled", "other", "none", "null", "n/a", "?"}


def read(raw: RawTags) -> Metadata:
    """Metadata from tags as they stand in a file: of each, the first value that says something."""
    return clean({name: _first(raw, name) for name in ("title", "artist", "album", "genre")})


def _first(raw: RawTags, name: str) -> str | None:
    shown = genre if name == "genre" else text
    names = (name, "album_artist") if name == "artist" else (name,)
    values = (value for key in names for value in raw.get(key, ()))
    return next((value for value in values if shown(value) is not None), None)


def clean(words: Mapping[str, str | None]) -> Metadata:
    """Metadata from raw words, by Metadata's field names; what says nothing is left out."""
    return Metadata(
        title=text(words.get("title")),
        artist=text(words.get("artist")),
        album=text(words.get("album")),
        genre=genre(words.get("genre")),
    )


def over(forced: Metadata, found: Metadata) -> Metadata:
    """`forced`, and what it leaves open from `found`."""
    chosen = {name: value for name, value in structs.asdict(forced).items() if value is not None}
    return structs.replace(found, **chosen)


def text(raw: str | None) -> str | None:
    """One line of at most 300 characters, composed (NFC) and clean (see `schemas.texts`); None if nothing is left."""
    if raw is None:
        return None
    composed = unicodedata.normalize("NFC", raw[: 20 * TEXT_MAX])
    line = _SPACES.sub(" ", clean_text(composed)).strip()[:TEXT_MAX].strip()
    if not any(unicodedata.category(c)[0] in "LN" for c in line) or line.casefold() in _SAYS_NOTHING:
        return None
    return line


def genre(raw: str | None) -> str | None:
    """A genre's name as charts use it: lower case, plain letters; None if none is left."""
    if raw is None:
        return None
    plain = unicodedata.normalize("NFKD", raw[: 20 * GENRE_MAX]).lower()
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("\u2019", "'")
    line = _SPACES.sub(" ", _NOT_IN_GENRE.sub(" ", plain)).strip(" &+'-")[:GENRE_MAX].strip()
    if not any("a" <= c <= "z" for c in line) or line in _SAYS_NOTHING:
        return None
    return line


def title_from(file_name: str | None) -> str:
    """The title of a song whose tags have none: its file's name, without folders and ending."""
    if file_name is None:
        return UNTITLED
    stem = PurePosixPath(PureWindowsPath(file_name).name).stem
    return text(stem.replace("_", " ")) or UNTITLED
