"""The tags of a file, cleaned so that they can be shown: anything may stand in them."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from msgspec import structs

from songline.schemas.commands import Metadata
from songline.schemas.texts import clean as clean_text

TEXT_MAX = 300
GENRE_MAX = 64
UNTITLED = "Untitled"
UNKNOWN_ARTIST = "Unknown artist"

# Each of Metadata's words in ID3, in MP4 and in Vorbis comments.
_KEYS = {
    "title": ("TIT2", "\xa9nam", "title"),
    "artist": ("TPE1", "\xa9ART", "artist"),
    "album": ("TALB", "\xa9alb", "album"),
    "genre": ("TCON", "\xa9gen", "genre"),
}
_NOT_IN_GENRE = re.compile(r"[^a-z0-9 &+'-]+")
_SPACES = re.compile(r"\s+")
_SAYS_NOTHING = {"unknown", "unknown artist", "unknown album", "untitled", "other", "none", "null", "n/a", "?"}


def read(tags: Mapping[str, Any] | None) -> Metadata:
    """Metadata from what mutagen read: an ID3, MP4 or Vorbis tag, or None."""
    return clean({word: _first(tags, keys) for word, keys in _KEYS.items()} if tags else {})


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


def _first(tags: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        try:
            value = tags.get(key)
        except (KeyError, ValueError):
            # Vorbis comments take only ASCII keys, and say so.
            continue
        if value is None:
            continue
        # ID3 genres may be numbers, which mutagen names.
        values = getattr(value, "genres", None) or getattr(value, "text", value)
        for item in values if isinstance(values, list) else [values]:
            return str(item)
    return None
