"""A streaming parser of forms with files. Source: RFC 7578, "multipart/form-data"."""

import re
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from msgspec import Struct
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from songline.producers.http.problems import RequestDeclinedError
from songline.schemas.decoding import excerpt, read_text
from songline.schemas.errors import PoisonError

FIELD_MAX = 4096
PARTS_MAX = 32
HEADERS_MAX = 16
HEADER_MAX = 4096
# Source: HTML Living Standard, section "Constructing entry list", escape a multipart/form-data name.
_ESCAPES = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^';]*'([^\s;\"]+)", re.IGNORECASE)


class PartHead(Struct, frozen=True):
    """The beginning of a part: its name, and the name and content type of the file in it."""

    name: str
    file_name: str | None
    content_type: str


class PartEnd(Struct, frozen=True):
    """The end of a part."""


Token: TypeAlias = PartHead | PartEnd | bytes


class FormTokens:
    """Turns pieces of a form into tokens: `PartHead`, bytes, `PartEnd` for each part. `done` once the form is whole."""

    def __init__(self, boundary: bytes) -> None:
        """Raises RequestDeclinedError for an invalid boundary."""
        self.done = False
        self._tokens: list[Token] = []
        self._headers: dict[str, bytes] = {}
        self._name = self._value = b""
        self._parts = 0
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": lambda: self._tokens.append(PartEnd()),
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(
                boundary, callbacks, max_header_count=HEADERS_MAX, max_header_size=HEADER_MAX
            )
        except FormParserError as error:
            raise malformed(str(error)) from None

    def feed(self, piece: bytes) -> list[Token]:
        """The tokens that `piece` completes; raises RequestDeclinedError."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise malformed(str(error)) from None
        tokens, self._tokens = self._tokens, []
        return tokens

    def _begin(self) -> None:
        self._headers = {}
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise malformed(f"it has more than {PARTS_MAX} parts")

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value
        self._name = self._value = b""

    def _on_headers(self) -> None:
        disposition = self._headers.get("content-disposition", b"")
        _, options = parse_options_header(disposition)
        name = options.get(b"name")
        if name is None:
            raise malformed("a part has no name in its Content-Disposition")
        try:
            known_as = read_text(name)
        except PoisonError:
            raise malformed(f"the name of a field, {excerpt(name)}, is not UTF-8") from None
        self._tokens.append(
            PartHead(
                known_as,
                _file_name(disposition, options.get(b"filename")),
                self._headers.get("content-type", b"").decode("latin-1"),
            )
        )

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._tokens.append(data[start:end])

    def _on_end(self) -> None:
        self.done = True


def _file_name(disposition: bytes, plain: bytes | None) -> str | None:
    """The name of a part's file. Browsers write `%22` for a quotation mark; some clients, though RFC 7578 says not to,
    `filename*`, for what is not ASCII (RFC 8187 section 3.2)."""
    extended = _EXTENDED.search(disposition)
    if extended is not None:
        charset = "latin-1" if extended[1].lower() == b"iso-8859-1" else "utf-8"
        return unquote_to_bytes(extended[2]).decode(charset, errors="replace")
    if plain is None:
        return None
    name = plain.decode(errors="replace")
    for escape, sign in _ESCAPES:
        name = name.replace(escape, sign)
    return name


class FormPart:
    """One part. The caller reads its content once, by `pieces` or `text`, before the next part."""

    def __init__(self, head: PartHead, form: "Form") -> None:
        self.head = head
        self._form = form

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content, in pieces; raises RequestDeclinedError."""
        while isinstance(token := await self._form.token(), bytes):
            yield token

    async def text(self) -> str:
        """The value of a field; raises RequestDeclinedError if it has more than FIELD_MAX bytes or is not UTF-8."""
        value = b""
        async for piece in self.pieces():
            value += piece
            if len(value) > FIELD_MAX:
                raise malformed(f"the field {self.head.name!r} has more than {FIELD_MAX} bytes")
        try:
            return read_text(value)
        except PoisonError:
            raise malformed(f"the field {self.head.name!r} is not UTF-8") from None


class Form:
    """The parts of a form, in order. Iteration raises RequestDeclinedError if the body is no valid form."""

    def __init__(self, stream: AsyncIterator[bytes], content_type: str) -> None:
        """`content_type` is the request's header; raises RequestDeclinedError."""
        _, options = parse_options_header(content_type)
        if not options.get(b"boundary"):
            raise malformed("its Content-Type names no boundary")
        self._stream = stream
        self._reading = FormTokens(options[b"boundary"])
        self._tokens: deque[Token] = deque()

    async def __aiter__(self) -> AsyncIterator[FormPart]:
        while (head := await self.token()) is not None:
            assert isinstance(head, PartHead)
            yield FormPart(head, self)

    async def token(self) -> Token | None:
        """The next token, None at the end of the form; raises RequestDeclinedError."""
        while not self._tokens:
            if self._reading.done:
                return None
            piece = await anext(self._stream, None)
            if piece is None:
                raise malformed("it ends before its last boundary")
            self._tokens.extend(self._reading.feed(piece))
        return self._tokens.popleft()


def malformed(what: str) -> RequestDeclinedError:
    return RequestDeclinedError(
        400, "Malformed form", f"The body is no multipart/form-data as RFC 7578 has it: {what}."
    )
