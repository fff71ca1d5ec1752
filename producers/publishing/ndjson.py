"""Anybody's file of events, line by line, whatever is in it."""

from collections.abc import Iterator

from msgspec import Struct

from songline.schemas.acceptance import MAX_EVENT_BYTES

_BOM = b"\xef\xbb\xbf"


class EventLine(Struct, frozen=True):
    """A line that isn't blank: its number (from 1), its bytes without white space at the ends, its length in the file.

    `body` is None where the line is longer than an event may be; such a line is never held in memory.
    """

    number: int
    body: bytes | None
    size: int


class LineSplitter:
    """Cuts a stream of bytes into lines, however the stream is cut into chunks.

    Lines end in LF or CRLF, the last one may end with the file, a UTF-8 byte order mark at the start is dropped, and
    blank lines are counted and passed over.
    """

    def __init__(self, longest: int = MAX_EVENT_BYTES) -> None:
        self._longest = longest + len(_BOM) + len(b"\r\n")
        self._number = 1
        self._kept = bytearray()
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[EventLine]:
        """The lines that end in `chunk`."""
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            self._keep(chunk, begin, end)
            yield from self.end()
            self._number += 1
            begin = end + 1
        self._keep(chunk, begin, len(chunk))

    def end(self) -> Iterator[EventLine]:
        """The line that ends here, as the last one does at the end of the file."""
        body, size = bytes(self._kept), self._size
        self._kept.clear()
        self._size = 0
        if self._number == 1:
            body = body.removeprefix(_BOM)
        body = body.strip()
        if size > self._longest:
            yield EventLine(self._number, None, size)
        elif body:
            yield EventLine(self._number, body, size)

    def _keep(self, chunk: bytes, begin: int, end: int) -> None:
        self._size += end - begin
        if self._size <= self._longest:
            self._kept += chunk[begin:end]
