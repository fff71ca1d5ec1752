"""Frames to typed requests, and responses to frames, in any version.

kio has one class per message and version, with the fields that version has. Handlers know one version of each
API, the *canonical* one, the newest. A request of an older version is read as the canonical one, with defaults for what
it lacks; a response needs no conversion, because an older version's writer reads only the fields that it knows.
"""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from struct import Struct
from typing import Any, NamedTuple, cast

from kio.index import load_request_schema, load_response_schema
from kio.schema.response_header.v0 import ResponseHeader as ResponseHeaderV0
from kio.schema.response_header.v1 import ResponseHeader as ResponseHeaderV1
from kio.serial import entity_writer
from kio.serial.writers import Writable
from kio.static.primitive import i32
from kio.static.protocol import Entity

from localcloud.kafka.errors import ProtocolError
from localcloud.kafka.request_reader import MALFORMED, entity_reader

_PREFIX = Struct(">hhi")
_LENGTH = Struct(">i")
SMALL_CHUNK = 4096


class RequestPrefix(NamedTuple):
    """What stands at the head of every request, whatever its version."""

    api_key: int
    api_version: int
    correlation_id: int


def prefix_of(frame: bytes) -> RequestPrefix:
    """Raises `ProtocolError` when the frame is too short to be a request."""
    if len(frame) < _PREFIX.size:
        raise ProtocolError(f"A request has at least {_PREFIX.size} bytes, this one has {len(frame)}.")
    return RequestPrefix._make(_PREFIX.unpack_from(frame))


def decode(frame: bytes, prefix: RequestPrefix, canonical: type[Entity]) -> tuple[str | None, Any]:
    """(client id, request as the canonical class) of a frame whose API and version are known to be supported.

    Raises `ProtocolError`.
    """
    schema = load_request_schema(prefix.api_key, prefix.api_version)
    header_schema = cast("type[Entity]", schema.__header_schema__)
    try:
        header, at = entity_reader(header_schema, header_schema)(frame, 0)
        request, _ = entity_reader(schema, canonical)(frame, at)
    except MALFORMED as malformed:
        raise ProtocolError(
            f"a request of API {prefix.api_key} version {prefix.api_version} is malformed: {malformed}"
        ) from malformed
    return header.client_id, request


def encode(prefix: RequestPrefix, response: Entity, api_version: int | None = None) -> list[bytes]:
    """The frame that answers a request, in pieces that are best written one after the other."""
    version = prefix.api_version if api_version is None else api_version
    header, body, header_type = _writer(prefix.api_key, version)
    pieces = _Pieces()
    out = cast("Writable", pieces)
    header(out, header_type(correlation_id=i32(prefix.correlation_id)))
    body(out, response)
    return pieces.framed()


class _Pieces:
    """Collects what writers write: large byte strings as they are, small ones joined."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._small = BytesIO()
        self._size = 0

    def write(self, data: bytes) -> int:
        if len(data) < SMALL_CHUNK:
            self._small.write(data)
        else:
            self._done += (self._small.getvalue(), data)
            self._small = BytesIO()
        self._size += len(data)
        return len(data)

    def framed(self) -> list[bytes]:
        return [_LENGTH.pack(self._size), *self._done, self._small.getvalue()]


@cache
def _writer(api_key: int, api_version: int) -> tuple[Callable[..., None], Callable[..., None], Callable[..., Entity]]:
    schema = load_response_schema(api_key, api_version)
    header = schema.__header_schema__
    assert header in (ResponseHeaderV0, ResponseHeaderV1)
    return entity_writer(header), entity_writer(schema), header
