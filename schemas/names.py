"""Names of several artists: kept apart, and shown as one."""

import re
from collections.abc import Iterable

from songline.schemas.types import ARTISTS_MAX

_APART = re.compile(r"\s*[;\0]\s*")
TEXT_MAX = 300


def split_artists(raw: str) -> list[str]:
    """The names that stand in `raw` with a semicolon or NUL between them, as taggers join them. Other signs are parts
    of names: `AC/DC`, `Earth, Wind & Fire`."""
    return [name for name in _APART.split(raw) if name.strip()]


def several(names: Iterable[str]) -> tuple[str, ...] | None:
    """The different ones of `names`, ARTISTS_MAX at most; None for a single one, which `artist` says."""
    found = tuple(dict.fromkeys(names))[:ARTISTS_MAX]
    return found if len(found) > 1 else None


def shown_artist(names: Iterable[str]) -> str | None:
    """The names as one, as far as there is room; None without any."""
    shown = ""
    for name in dict.fromkeys(names):
        longer = f"{shown}, {name}" if shown else name
        if len(longer) > TEXT_MAX:
            break
        shown = longer
    return shown or None
