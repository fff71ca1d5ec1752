"""An answer of OpenSubsonic: one value, written as XML or as JSON.

In XML a number, a text or a truth is an attribute of its element, or the element's text where its name is `value`; an
object is a child; a list is so many children of its name. Sources: OpenSubsonic, "API reference"; the original
protocol's schema, subsonic-rest-api.xsd; XML 1.0, section 2.2 (the characters that a document may have).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

import msgspec

from songline.players.opensubsonic.errors import OpenSubsonicError

PROTOCOL = "1.16.1"
"""The version of the original protocol that clients are told."""
NAMESPACE = "http://subsonic.org/restapi"
SERVER = "songline"

Scalar: TypeAlias = str | int | float | bool
Content: TypeAlias = Mapping[str, "Value"]
Value: TypeAlias = Scalar | Content | Sequence[Content] | Sequence[str] | Sequence[int]
"""Sequences are lists."""

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_AS_REFERENCE = {"\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


class AnswerFormat(StrEnum):
    """How an answer is written."""

    XML = "xml"
    JSON = "json"

    @property
    def media_type(self) -> str:
        return "application/json" if self is AnswerFormat.JSON else "text/xml; charset=utf-8"


def written(content: Content, form: AnswerFormat, version: str) -> bytes:
    """The answer to a request that went well; `version` is this server's."""
    return _in_form({**_head("ok", version), **content}, form)


def written_error(error: OpenSubsonicError, form: AnswerFormat, version: str) -> bytes:
    """The answer to a request that went wrong."""
    return _in_form({**_head("failed", version), "error": {"code": int(error.code), "message": error.message}}, form)


def _head(status: str, version: str) -> dict[str, Value]:
    return {"status": status, "version": PROTOCOL, "type": SERVER, "serverVersion": version, "openSubsonic": True}


def _in_form(content: Content, form: AnswerFormat) -> bytes:
    if form is AnswerFormat.JSON:
        # What UTF-8 can't carry is no text of a song: only what a client sent itself may have it.
        return msgspec.json.encode({"subsonic-response": _encodable(content)})
    body = "".join(_element("subsonic-response", {"xmlns": NAMESPACE, **content}))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def _encodable(value: Value) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {name: _encodable(one) for name, one in value.items()}
    return [_encodable(one) for one in value] if isinstance(value, list) else value


def _element(name: str, content: Content) -> Iterator[str]:
    attributes = {key: one for key, one in content.items() if isinstance(one, Scalar) and key != "value"}
    inner = "".join(part for key, one in content.items() for part in _children(key, one))
    yield f"<{name}"
    for key, one in attributes.items():
        yield f" {key}={_quoted(one)}"
    yield f">{inner}</{name}>" if inner else "/>"


def _children(name: str, value: Value) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _element(name, value)
    elif isinstance(value, list):
        for one in value:
            yield from _element(name, one if isinstance(one, Mapping) else {"value": one})
    elif name == "value" and isinstance(value, Scalar):
        yield escape(_text(value))


def _quoted(value: Scalar) -> str:
    return quoteattr(_text(value), _AS_REFERENCE)


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _NO_XML.sub("", str(value))
