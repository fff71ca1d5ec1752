"""Free text of others (titles, artists, albums, devices, names of files), made fit to be shown on one line.

Text is cleaned and not refused: a title that is copied from a document may bring signs that can't be seen. What is
removed can move a terminal's cursor, turn the direction of the text beside it (Trojan Source, CVE-2021-42574), or has
no form in UTF-8. What joins letters (U+200C, U+200D) stays: Persian, Hindi and emoji need it.

The same rule holds for everything that publishes and for every reader of a hub.
"""

import re
from typing import Final, TypeVar

from msgspec import Struct, structs

T = TypeVar("T", bound=Struct)

# Tabs and ends of lines, of all kinds.
_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
# Controls (C0, DEL, C1); marks of direction; what has no width; halves of surrogate pairs; what is no character.
_UNSEEN = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)

SEEN_PATTERN: Final = (
    r"[^\s\u0000-\u001F\u007F-\u00A0\u00AD\u061C\u200B-\u200F\u2028-\u202E\u2060-\u206F"
    r"\uFDD0-\uFDEF\uFEFF\uFFF9-\uFFFB\uFFFE\uFFFF]"
)
"""A character that can be seen, as a regular expression that JSON Schema knows too."""

_OF_WINDOWS = re.compile(r"[A-Za-z]:[/\\]|\\\\")
_SEEN = re.compile(SEEN_PATTERN)
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` on one line: breaks become a space, what does harm or has no form goes, and so do spaces at the ends.

    Cleaning twice is cleaning once, and never makes it longer.
    """
    if _is_clean(text):
        return text
    return _BREAKS.sub(" ", _UNSEEN.sub("", text)).strip()


def clean_or_none(text: str | None) -> str | None:
    """The same; None where nothing is left that can be seen."""
    if text is None or (text and _is_clean(text)):
        return text
    shown = clean(text)
    return shown if _SEEN.search(shown) else None


def cleaned(data: T, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> T:
    """`data` with its texts clean, itself where they are; an optional one that shows nothing becomes None. One may be
    several, a tuple of texts."""
    changes: dict[str, str | tuple[str, ...] | None] = {}
    for name in required:
        text: str | tuple[str, ...] = getattr(data, name)
        if isinstance(text, tuple):
            if not all(map(_is_clean, text)):
                changes[name] = tuple(map(clean, text))
        elif not _is_clean(text):
            changes[name] = clean(text)
    for name in optional:
        said: str | tuple[str, ...] | None = getattr(data, name)
        if isinstance(said, tuple):
            if not all(map(_is_clean, said)):
                changes[name] = tuple(filter(None, map(clean_or_none, said))) or None
        elif said is not None and not (said and _is_clean(said)):
            changes[name] = clean_or_none(said)
    return structs.replace(data, **changes) if changes else data


def _is_clean(text: str) -> bool:
    """Whether `text` surely needs no cleaning: the usual case. Stripping nothing gives the same object."""
    return text.isprintable() and text.strip() is text


def clean_file_name(name: str | None, size: int = 255) -> str | None:
    """A file's name without its folders, clean, its last `size` characters; None where nothing is left.

    A backslash divides folders in a whole path of Windows (`C:\\Music\\a.mp3`); elsewhere names may have one.
    """
    if name is None:
        return None
    folders = r"[/\\]" if _OF_WINDOWS.match(name) else "/"
    shown = clean_or_none(_BREAKS.sub("", re.split(folders, name)[-1]))
    return None if shown is None else shown[-size:].strip()


def encodable(text: str) -> str:
    """`text` with halves of surrogate pairs, which UTF-8 can't carry, as U+FFFD. For ids, whose rule refuses it."""
    return _SURROGATES.sub("\ufffd", text)
