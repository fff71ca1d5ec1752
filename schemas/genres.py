"""Genres: one rule at every door (tags, uploads, scopes of charts, searches), so that what is said in any way is the
same genre. Lower case, of any script; accents of Latin letters and width don't count.

Source: Unicode, annex 15 (NFKD, NFC).
"""

import re
import unicodedata

from songline.schemas.types import NOT_IN_GENRE

GENRE_MAX = 64
GENRE_RULE = "the name of a genre: 1 to 64 letters of any script, digits, space and &+'-"
_READ_MAX = 20 * GENRE_MAX
_OTHER = re.compile(rf"(?![ &+'-])[{NOT_IN_GENRE}]")
_SPACES = re.compile(r"\s+")
_APART = re.compile(r"[;,/|\\\0\u3001\u061b\u060c]+")
_AT_ENDS = " &+'-"
_SAYS_NOTHING = {"unknown", "unknown genre", "other", "none", "null", "n a"}


def genre_name(raw: str) -> str | None:
    """The genre that `raw` names, all of it; None where it names none."""
    decomposed = unicodedata.normalize("NFKD", raw[:_READ_MAX]).lower().replace("\u2019", "'")
    # Lower case decomposes again: the Turkish capital I with a dot.
    composed = unicodedata.normalize("NFC", _without_accents(unicodedata.normalize("NFKD", decomposed)))
    kept = "".join(sign if _counts(sign) else " " for sign in _OTHER.sub(" ", composed))
    line = _SPACES.sub(" ", kept).strip(_AT_ENDS)
    while line and unicodedata.category(line[0])[0] == "M":
        line = line[1:].lstrip(_AT_ENDS)
    line = line[:GENRE_MAX].rstrip(_AT_ENDS)
    if line in _SAYS_NOTHING or not any(unicodedata.category(sign)[0] == "L" for sign in line):
        return None
    return line


def _without_accents(decomposed: str) -> str:
    """Without the accents of Latin letters, also where other marks stand between a letter and its accent."""
    found, is_latin = list[str](), False
    for sign in decomposed:
        if not unicodedata.category(sign).startswith("M"):
            is_latin = "a" <= sign <= "z"
        elif is_latin and "\u0300" <= sign <= "\u036f":
            continue
        found.append(sign)
    return "".join(found)


def genre_names(raw: str) -> tuple[str, ...]:
    """The genres that stand in `raw` with a sign between them: `Synth-Pop; Rock` is two."""
    return tuple(dict.fromkeys(name for part in _APART.split(raw[:_READ_MAX]) if (name := genre_name(part))))


def is_plain(raw: str) -> bool:
    """Whether `raw` names genres and nothing else: each part of at most 64 characters, without signs that no genre has.
    Tags may have more, which is left out; who asks for a genre is told."""
    parts = [part for part in _APART.split(raw) if part.strip()]
    return bool(parts) and all(
        genre_name(part) is not None and len(part.strip()) <= GENRE_MAX and all(map(_is_said, part)) for part in parts
    )


def _is_said(sign: str) -> bool:
    return sign.isspace() or sign == "\u2019" or all(map(_counts, unicodedata.normalize("NFKD", sign)))


def asked_genre(text: str) -> str | None:
    """The genre that a question names: one, of at most 64 characters. None for any other text."""
    names = genre_names(text) if is_plain(text) else ()
    return names[0] if len(names) == 1 else None


def _counts(sign: str) -> bool:
    return sign in _AT_ENDS or unicodedata.category(sign)[0] in "LNM"
