"""YouTube Music's watch history from Google Takeout: what was begun, with the moment. Other videos are no music."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec import Struct

from songline.processors.imports.json_rows import array_rows, field
from songline.processors.imports.moments import iso_ms
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, made_row
from songline.schemas.decoding import Decoder

ORIGIN = "youtube-music"
MUSIC = "YouTube Music"
TOPIC = " - Topic"

_PREFIX = re.compile(r"(?:Watched|Visto:?|Ha visto|Hai guardato|Guardato|Vous avez regardé|Has visto)[ \xa0]+")
_SUFFIX = re.compile(r"[ \xa0]+(?:angesehen|gezien|bekeken|を視聴しました|을\(를\) 시청했습니다\.?)")
_ADDRESS = re.compile(r"https?://\S+")


class YouTubeView(Struct, frozen=True, rename="camel"):
    """A video that was watched; `subtitles` has its channel. One that has gone has neither title nor channel."""

    header: Any = None
    title: Any = None
    title_url: Any = None
    subtitles: Any = None
    time: Any = None


_decoder = Decoder(YouTubeView, "not-a-view")


def read_youtube(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The songs in a history of JSON. Raises UnreadableHistoryError."""
    for place, row in array_rows(file, _decoder):
        if isinstance(row, SkippedRow):
            yield row
            continue
        channels = row.subtitles if isinstance(row.subtitles, list) else []
        yield youtube_listen(
            place, row.header, _title(row.title), field(channels[0], "name") if channels else None, iso_ms(row.time)
        )


def youtube_listen(place: str, product: Any, title: str | None, channel: Any, began_ms: int | None) -> HistoryRow:
    """The listen of a view in the `product` that was used, of the song `title` in `channel`."""
    if not isinstance(product, str) or product.strip() != MUSIC:
        return SkippedRow("no-music", place)
    if title is not None and _ADDRESS.fullmatch(title.strip()):
        title = None
    artist = channel.strip().removesuffix(TOPIC) if isinstance(channel, str) else None
    return made_row(place, ORIGIN, began_ms, title, [artist])


def _title(text: Any) -> str | None:
    """The title without the words around it, which are in the language of the account."""
    if not isinstance(text, str):
        return None
    if begin := _PREFIX.match(text):
        return text[begin.end() :]
    end = _SUFFIX.search(text)
    return text[: end.start()] if end is not None and end.end() == len(text) else text
