"""The one decoder of foreign bytes: records of hubs, messages of queues, bodies of requests, lines of files.

The writer to a hub and the caller of the API decide what the bytes are. Every fault that they can have becomes a
`PoisonError` here, so that a reader which knows `PoisonError` knows them all. Nothing else decodes such bytes; an
architecture test holds that.

Two things are stricter than in msgspec 0.22, which reads neither the text nor the depth of what no type asks for:
the whole body is UTF-8 (RFC 8259 section 8.1), and it nests at most `MAX_DEPTH` deep (how deep msgspec itself can go
depends on the stack that it is called from, so that two readers would differ).
"""

import re
from collections.abc import Callable, Collection
from typing import Any, Final, Generic, TypeAlias, TypeVar, overload

import msgspec

from songline.schemas.errors import PoisonError
from songline.schemas.rules import broken_rule

T = TypeVar("T")

Body: TypeAlias = bytes | bytearray | memoryview | str

DECODING_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, TypeError, BufferError)
"""All that decoding may raise. `UnicodeError` is a ValueError; a record without a body is a TypeError."""

MAX_DEPTH: Final = 400
_DEEP_BYTES = 2 * MAX_DEPTH  # a shorter body can't open and close that many

# An unfinished string goes to the end, and what has matched is never tried again: linear on any bytes.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Decoder(Generic[T]):
    """Decodes JSON of one type. `raw` is msgspec's own function: fast, raises DECODING_ERRORS, checks no `is_plain`."""

    raw: Callable[[bytes], T]

    @overload
    def __init__(self, kind: type[T], reason: str = ..., *, strict: bool = ...) -> None: ...

    @overload
    def __init__(self, kind: Any, reason: str = ..., *, strict: bool = ...) -> None: ...

    def __init__(self, kind: Any, reason: str = "not-an-event", *, strict: bool = True) -> None:
        self.raw = msgspec.json.Decoder(kind, strict=strict).decode
        self._reason = reason

    def decode(self, body: Body | None) -> T:
        """The value in `body`; raises PoisonError, with the reason that the decoder was made with."""
        try:
            return self.raw(_checked(body))
        except DECODING_ERRORS as error:
            raise PoisonError(self._reason, explain(error)) from None


class MsgpackDecoder(Generic[T]):
    """The same for MessagePack, the format of trending's own hubs: foreign bytes may come in there too."""

    raw: Callable[[bytes], T]

    @overload
    def __init__(self, kind: type[T], reason: str = ...) -> None: ...

    @overload
    def __init__(self, kind: Any, reason: str = ...) -> None: ...

    def __init__(self, kind: Any, reason: str = "not-an-event") -> None:
        self.raw = msgspec.msgpack.Decoder(kind).decode
        self._reason = reason

    def decode(self, body: bytes | memoryview | None) -> T:
        """The value in `body`; raises PoisonError."""
        try:
            return self.raw(body)  # type: ignore[arg-type]
        except DECODING_ERRORS as error:
            raise PoisonError(self._reason, explain(error)) from None


@overload
def convert(value: object, kind: type[T], reason: str = ..., *, strict: bool = ...) -> T: ...


@overload
def convert(value: object, kind: Any, reason: str = ..., *, strict: bool = ...) -> Any: ...


def convert(value: object, kind: Any, reason: str = "broken-contract", *, strict: bool = True) -> Any:
    """`value`, of JSON's own types (a document as an SDK decoded it), as `kind`; raises PoisonError."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except DECODING_ERRORS as error:
        raise PoisonError(reason, explain(error)) from None


def read_text(data: bytes | memoryview, reason: str = "not-an-event") -> str:
    """The UTF-8 text in `data`; raises PoisonError."""
    try:
        return str(data, "utf-8")
    except DECODING_ERRORS as error:
        raise PoisonError(reason, explain(error)) from None


def excerpt(body: object, size: int = 100) -> str:
    """The beginning of `body` as text for a message or a log line; never raises. `size`: characters at most.

    What is not UTF-8 and what would move a terminal's cursor shows as an escape.
    """
    if isinstance(body, memoryview | bytearray):
        body = bytes(body[:size])
    text = body[:size].decode("utf-8", "backslashreplace") if isinstance(body, bytes) else str(body)[:size]
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)[:size]


def is_plain(bodies: Collection[bytes]) -> bool:
    """Whether none of `bodies` needs the checks that `Decoder.decode` makes and `Decoder.raw` doesn't; cheap."""
    try:
        joined = b"".join(bodies)
        if not joined.isascii():
            str(joined, "utf-8")
        return max(map(len, bodies), default=0) < _DEEP_BYTES or not any(map(_too_deep, bodies))
    except DECODING_ERRORS:
        return False


def read_whole(decoder: Decoder[T], body: bytes, kind: type[T] | Any, reason: str = "broken-contract") -> T:
    """What `decoder` makes of `body`, where a number such as 184000.0 is a whole one, as JSON Schema has it; raises
    PoisonError."""
    try:
        return decoder.raw(body)
    except DECODING_ERRORS as error:
        try:
            made: T = msgspec.convert(_whole(msgspec.json.decode(body)), kind)
        except DECODING_ERRORS:
            raise PoisonError(reason, explain(error)) from None
        return made


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case _:
            return value


def explain(error: Exception) -> str:
    """What was wrong with the bytes, in words."""
    if isinstance(error, UnicodeDecodeError):
        seen = error.object[error.start : error.end].hex(" ")
        return f"not UTF-8: {error.reason} (bytes {seen})"
    if isinstance(error, UnicodeEncodeError):
        return "not UTF-8: half of a surrogate pair"
    if isinstance(error, RecursionError):
        return f"nested more than {MAX_DEPTH} deep"
    if isinstance(error, TypeError | BufferError):
        return "no body"
    if isinstance(error, msgspec.ValidationError):
        return str(broken_rule(str(error)))
    return str(error).replace("`", "")


def _checked(body: Body | None) -> bytes:
    """`body` as bytes that are UTF-8 and not too deep; raises one of DECODING_ERRORS."""
    if isinstance(body, str):
        body = body.encode()
    elif isinstance(body, memoryview | bytearray):
        body = bytes(body)
    elif not isinstance(body, bytes):
        raise TypeError
    if not body.isascii():
        str(body, "utf-8")
    if len(body) >= _DEEP_BYTES and _too_deep(body):
        raise RecursionError
    return body


def _too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False
