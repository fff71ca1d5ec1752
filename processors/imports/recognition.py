"""Which format a history has, by what is in it and never by its name."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias

from songline.processors.imports.bounded import BOM, HEAD_BYTES, text_of
from songline.processors.imports.formats.capture import MAGIC, read_capture
from songline.processors.imports.formats.lastfm_csv import read_lastfm_csv
from songline.processors.imports.formats.lastfm_json import read_lastfm_json
from songline.processors.imports.formats.listenbrainz import read_listenbrainz
from songline.processors.imports.formats.maloja import read_maloja
from songline.processors.imports.formats.own_events import read_own_events
from songline.processors.imports.formats.pano import read_pano
from songline.processors.imports.formats.rockbox import read_rockbox
from songline.processors.imports.formats.spotify import read_spotify
from songline.processors.imports.formats.spotify_year import read_spotify_year
from songline.processors.imports.formats.youtube import read_youtube
from songline.processors.imports.formats.youtube_html import read_youtube_html
from songline.processors.imports.rows import HistoryRow, ReadOptions
from songline.processors.imports.scrobble_table import table_form

Reader: TypeAlias = Callable[[BinaryIO, ReadOptions], Iterator[HistoryRow]]

READERS: dict[str, Reader] = {
    "listenbrainz": read_listenbrainz,
    "spotify": read_spotify,
    "spotify-year": read_spotify_year,
    "lastfm-csv": read_lastfm_csv,
    "lastfm-json": read_lastfm_json,
    "maloja": read_maloja,
    "rockbox": read_rockbox,
    "pano": read_pano,
    "youtube-music": read_youtube,
    "youtube-music-html": read_youtube_html,
    "events": read_own_events,
    "capture": read_capture,
}
"""Readers by the name of their format."""

_KEYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("spotify", ("ts", "ms_played")),
    ("spotify-year", ("endTime", "msPlayed")),
    ("events", ("specversion", "data")),
    ("listenbrainz", ("listened_at", "track_metadata")),
    ("maloja", ("scrobbles", "artists")),
    ("pano", ("timeMs", "track")),
    ("youtube-music", ("header", "title", "time")),
    ("lastfm-json", ("scrobbles", "artist")),
    ("lastfm-json", ("artist", "name", "date")),
    ("lastfm-json", ("recenttracks",)),
)
EMPTY = "empty"
"""The format of a list of nothing, as services write it for a year without a listen. It has no reader."""

_KEY = re.compile(r'"([A-Za-z_#@]{2,40})"\s*:')
_LOG_HEADERS = ("#AUDIOSCROBBLER/", "#TZ/", "#CLIENT/")
_LOG_LINE = re.compile(r"(?:[^\t\n]*\t){4}\d*\t[LS]\t\d{1,11}(?=[\t\r\n]|\Z)")
"""A line of a player's log whose headers somebody took away."""
_EMPTY_LIST = re.compile(r"\[\s*\]\s*")
_EMPTY_MALOJA = re.compile(r'"scrobbles"\s*:\s*\[\s*\]')


def recognized(file: BinaryIO) -> str | None:
    """The name of the format of `file`, which is read from its begin afterwards; EMPTY for a list of nothing, None for
    no history that is known."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return format_of(head)


def format_of(head: bytes) -> str | None:
    """The name of the format of a file that begins with `head`."""
    if head.startswith(MAGIC):
        return "capture"
    text = text_of(head.removeprefix(BOM)).lstrip()
    if text.startswith(_LOG_HEADERS) or _LOG_LINE.match(text):
        return "rockbox"
    name = None
    if _EMPTY_LIST.fullmatch(text):
        return EMPTY
    if text[:1] in ("{", "["):
        name = _json_format(text)
    elif text[:1] == "<" and "outer-cell" in text and "YouTube" in text:
        name = "youtube-music-html"
    if name is None and table_form(text) is not None:
        name = "lastfm-csv"
    return name


def _json_format(text: str) -> str | None:
    keys = set(_KEY.findall(text))
    if _EMPTY_MALOJA.search(text):
        return "maloja"
    return next((name for name, wanted in _KEYS if keys.issuperset(wanted)), None)
