"""YouTube Music's watch history as the web page that Google Takeout makes by default."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import BinaryIO

from songline.processors.imports.formats.youtube import youtube_listen
from songline.processors.imports.moments import english_ms
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, UnreadableHistoryError

PIECE_BYTES = 64 * 1024
MAX_TEXTS = 64
MAX_TEXT = 2_000
"""Texts of a view, and characters of one, beyond which nothing of it is kept."""


class _View:
    """A view as it is being read: the product, the texts of its links, and other texts."""

    def __init__(self) -> None:
        self.product = ""
        self.address: str | None = None
        self.links: list[str] = []
        self.texts: list[str] = []


class _Page(HTMLParser):
    """Collects views: each is a block of the class `outer-cell`, with a header and a cell of text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.views: list[_View] = []
        self._view: _View | None = None
        self._cell = ""
        self._is_link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "div":
            classes = (dict(attrs).get("class") or "").split()
            if "outer-cell" in classes:
                self._finish()
                self._view, self._cell = _View(), ""
            elif "header-cell" in classes:
                self._cell = "header"
            elif "content-cell" in classes:
                is_first = self._view is not None and not self._view.texts and not self._view.links
                self._cell = "content" if is_first and "mdl-typography--caption" not in classes else ""
        elif tag == "a" and self._cell == "content" and self._view is not None:
            self._is_link = True
            if not self._view.links:
                self._view.address = dict(attrs).get("href")
            if len(self._view.links) < MAX_TEXTS:
                self._view.links.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._is_link = False

    def handle_data(self, data: str) -> None:
        view, text = self._view, data.strip()
        if view is None or not text:
            return
        if self._cell == "header" and len(view.product) < MAX_TEXT:
            view.product += text
        elif self._cell == "content" and self._is_link and view.links:
            if len(view.links[-1]) < MAX_TEXT:
                view.links[-1] += data
        elif self._cell == "content" and len(view.texts) < MAX_TEXTS:
            view.texts.append(text[:MAX_TEXT])

    def taken(self) -> list[_View]:
        """The views that are complete, each once."""
        found, self.views = self.views, []
        return found

    def close(self) -> None:
        super().close()
        self._finish()

    def _finish(self) -> None:
        if self._view is not None:
            self.views.append(self._view)
            self._view = None


def read_youtube_html(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The songs in a history as a page. Raises UnreadableHistoryError where its moments can't be read."""
    is_readable = False
    for number, view in enumerate(_views(file), start=1):
        place = f"row {number}"
        moments = (english_ms(text) for text in reversed(view.texts))
        began_ms = next((moment for moment in moments if moment is not None), None)
        is_readable = is_readable or began_ms is not None
        title = view.links[0] if view.links else None
        channel = view.links[1] if len(view.links) > 1 else None
        row = youtube_listen(place, view.product, view.address, title, channel, began_ms)
        if not is_readable and view.texts and row == SkippedRow("no-moment", place):
            raise UnreadableHistoryError(
                f"It is a page with moments as {view.texts[-1][:60]!r}, which can't be read in every language: choose "
                "JSON as the format of the history in Google Takeout, and import watch-history.json."
            )
        yield row


def _views(file: BinaryIO) -> Iterator[_View]:
    page = _Page()
    for text in _decoded(iter(lambda: file.read(PIECE_BYTES), b"")):
        page.feed(text)
        # A tag that never ends would be searched again with each piece.
        if len(page.rawdata) > 16 * PIECE_BYTES:
            page.rawdata = ""
        yield from page.taken()
    page.close()
    yield from page.taken()


def _decoded(pieces: Iterator[bytes]) -> Iterator[str]:
    left = b""
    for piece in pieces:
        whole = left + piece
        # What may be the begin of a character waits for its end.
        cut = next((back for back in range(1, min(4, len(whole)) + 1) if whole[-back] & 0xC0 != 0x80), 0)
        keep = cut if cut and whole[-cut] >= 0xC0 else 0
        left = whole[len(whole) - keep :]
        yield whole[: len(whole) - keep].decode("utf-8", "replace")
    yield left.decode("utf-8", "replace")
