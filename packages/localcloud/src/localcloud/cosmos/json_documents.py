"""JSON documents: decoding, checks, and the system properties of stored ones."""

from collections.abc import Mapping

import msgspec

from localcloud.cosmos.errors import BadRequestError, RequestTooLargeError
from localcloud.unreadable import UNREADABLE

MAX_BYTES = 2 * 1024 * 1024
MAX_ID_BYTES = 1023
MAX_TTL = 2**31 - 1
MAX_DEPTH = 128
SYSTEM_PROPERTIES = ("_rid", "_self", "_etag", "_attachments", "_ts")

Document = dict[str, object]
_decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


def decode(data: bytes) -> object:
    """Decode JSON. Raises BadRequestError for anything else."""
    try:
        return _decode(data)
    except UNREADABLE as error:
        raise BadRequestError(f"The request body is not valid JSON: {error}.") from error


def decode_document(data: bytes) -> Document:
    """Read and check a document. Raises RequestTooLargeError over 2 MB, BadRequestError for a bad shape or id."""
    if len(data) > MAX_BYTES:
        raise RequestTooLargeError(f"Request size is too large: {len(data)} bytes where {MAX_BYTES} are allowed.")
    document = check_document(decode(data))
    check_depth(document, data)
    return document


def check_document(value: object) -> Document:
    """Return the value as a document. Raises BadRequestError unless it is an object with a valid id and ttl."""
    if not isinstance(value, dict):
        raise BadRequestError("The input content is invalid: expected a JSON object.")
    if "id" not in value:
        raise BadRequestError("The input content is invalid because the required properties - 'id; ' - are missing.")
    check_id(value["id"])
    ttl = value.get("ttl", -1)
    if not is_ttl(ttl):
        raise BadRequestError(
            f"The input ttl {ttl!r} is invalid. Ensure to provide a nonzero positive integer "
            f"less than or equal to '{MAX_TTL}', or -1."
        )
    return value


def is_shallow(body: bytes) -> bool:
    """Whether a JSON text has too few objects and arrays for a document in it to be nested too deeply."""
    return body.count(b"{") + body.count(b"[") <= MAX_DEPTH


def check_depth(document: Document, body: bytes) -> None:
    """Raise BadRequestError for more than 128 levels of objects and arrays. `body` is a text with the document."""
    if is_shallow(body):
        return
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise BadRequestError(f"The document is nested too deeply: {MAX_DEPTH} levels are allowed.")


def is_ttl(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and (value == -1 or 0 < value <= MAX_TTL)


def check_id(value: object, *, limit: int = MAX_ID_BYTES) -> str:
    """Return the id. Raises BadRequestError unless it has 1 to `limit` bytes, no `/\\?#` and no space at its end."""
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"The input id {value!r} is invalid: expected a non-empty string.")
    if any(character in value for character in "/\\?#") or value.endswith(" "):
        raise BadRequestError(
            f"The input name '{value}' is invalid. An id cannot contain any of '/', '\\', '?', '#' or end in a space."
        )
    size = len(value.encode())
    if size > limit:
        raise BadRequestError(
            f"The input id is invalid: it has {size} bytes. Ensure to provide a unique non-empty string less than "
            f"'{MAX_ID_BYTES + 1 if limit == MAX_ID_BYTES else limit}' characters."
        )
    return value


def with_system_properties(document: Document, *, rid: str, link: str, etag: str, ts: int) -> Document:
    """The document as it is stored. `link` is the container's `_self`."""
    kept = {key: value for key, value in document.items() if key not in SYSTEM_PROPERTIES}
    kept["_rid"] = rid
    kept["_self"] = f"{link}docs/{rid}/"
    kept["_etag"] = etag
    kept["_attachments"] = "attachments/"
    kept["_ts"] = ts
    return kept


def etag_of(lsn: int, ts: int) -> str:
    """A quoted GUID, as the service writes them, that is unique to a write."""
    return f'"{lsn & 0xFFFFFFFF:08x}-0000-{lsn >> 32:04x}-0000-{ts:08x}0000"'


def value_at(document: Mapping[str, object], path: tuple[str, ...]) -> object:
    """The value at a path; None where there is none."""
    value: object = document
    for token in path:
        value = value.get(token) if isinstance(value, dict) else None
    return value
