"""YouTube Music's watch history from Google Takeout: what was begun, with the moment. Other videos are no music."""

import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, BinaryIO

from msgspec import Struct

from songline.processors.imports.formats.youtube_titles import ADDRESS, TitleFrame, title_frame
from songline.processors.imports.json_rows import array_rows, field
from songline.processors.imports.moments import iso_ms
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, made_row
from songline.schemas.decoding import Decoder

ORIGIN = "youtube-music"
MUSIC = "YouTube Music"
TOPIC = " - Topic"
SAMPLE_ROWS = 500
"""Views from which the words around a title are found."""

_MUSIC_ADDRESS = re.compile(r"https?://music\.youtube\.com/")
_VIEW_ADDRESS = re.compile(r"https?://[^/]+/(?:watch|shorts)\b")


class YouTubeView(Struct, frozen=True, rename="camel"):
    """A video that was watched; `subtitles` has its channel. One that has gone has neither title nor channel. An
    advertisement says so in `details`."""

    header: Any = None
    title: Any = None
    title_url: Any = None
    subtitles: Any = None
    details: Any = None
    time: Any = None

    @property
    def channel(self) -> Any:
        return field(self.subtitles[0], "name") if isinstance(self.subtitles, list) and self.subtitles else None

    @property
    def is_advertisement(self) -> bool:
        """Whether Google showed it: `From Google Ads`, in the language of the account."""
        details = self.details if isinstance(self.details, list) else []
        return any("Google" in str(field(detail, "name")) for detail in details)


_decoder = Decoder(YouTubeView, "not-a-view")


def read_youtube(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The songs in a history of JSON. Raises UnreadableHistoryError."""
    rows = array_rows(file, _decoder)
    sample = list(islice(rows, SAMPLE_ROWS))
    frame = title_frame((row.title, row.title_url, row.channel) for _, row in sample if isinstance(row, YouTubeView))
    for place, row in chain(sample, rows):
        if isinstance(row, SkippedRow):
            yield row
        elif row.is_advertisement:
            yield SkippedRow("no-music", place)
        else:
            yield youtube_listen(
                place, row.header, row.title_url, _framed(frame, row.title), row.channel, iso_ms(row.time)
            )


def youtube_listen(
    place: str, product: Any, address: Any, title: str | None, channel: Any, began_ms: int | None
) -> HistoryRow:
    """The listen of a view at an address, in the product that was used, of the song `title` in `channel`. Former
    histories have the same product for all, and the address alone says that it was music."""
    link = address if isinstance(address, str) else ""
    is_music = isinstance(product, str) and product.strip() == MUSIC
    if not is_music and not _MUSIC_ADDRESS.match(link):
        return SkippedRow("no-music", place)
    if link and not _VIEW_ADDRESS.match(link):
        return SkippedRow("no-listen", place)
    if title is not None and ADDRESS.fullmatch(title.strip()):
        title = None
    artist = channel.strip().removesuffix(TOPIC) if isinstance(channel, str) else None
    return made_row(place, ORIGIN, began_ms, title, [artist])


def _framed(frame: TitleFrame, text: Any) -> str | None:
    return frame.title_in(text) if isinstance(text, str) else None
