"""What knows azure-cosmos's inside: bodies of writes are encoded by msgspec, a tenth of what json takes.

A chart of a hundred lines takes json as long as the rest of the request. The text is the same but for characters that
are not ASCII, which are UTF-8 here, as with the SDK's own `enable_compact_utf8_item_writes`. What msgspec can't encode
is left to the SDK.
"""

from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from typing import Any, TypeAlias

import msgspec
from azure.cosmos.aio import _asynchronous_request as requests

KNOWN_VERSION = "4.17.1"
"""The version of azure-cosmos that this was read against. Another one encodes bodies in its own way."""

COMPACT = "enable_compact_utf8_item_writes"
"""The option of a client whose bodies of writes are UTF-8."""

_BodyOf: TypeAlias = Callable[..., Any]

_encode = msgspec.json.Encoder().encode


def install() -> dict[str, Any]:
    """Replace how the SDK encodes bodies, once; return the options for a client whose writes are encoded so, none
    where it is another SDK."""
    if version("azure-cosmos") != KNOWN_VERSION:
        return {}
    sdk: Any = requests
    if not hasattr(sdk._request_body_from_data, "__wrapped__"):
        sdk._request_body_from_data = _encoding(sdk._request_body_from_data)
    return {COMPACT: True}


def _encoding(body_of: _BodyOf) -> _BodyOf:
    @wraps(body_of)
    def encode(data: Any, ensure_ascii: bool = True) -> Any:
        if ensure_ascii or not isinstance(data, dict | list | tuple):
            return body_of(data, ensure_ascii)
        try:
            return _encode(data)
        except (TypeError, ValueError):
            # Such as text with half a character of UTF-16 in it.
            return body_of(data, ensure_ascii)

    return encode
