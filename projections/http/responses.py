"""Successful answers: with an entity tag, or without caching."""

from hashlib import blake2b

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response


def fresh(request: Request, body: Struct, cache: str) -> Response:
    """200 with an entity tag of the content, or 304 if the client has it already (RFC 9110 section 13.1.2)."""
    content = msgspec.json.encode(body)
    tag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": cache}
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="application/json")


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has the content that `tag` names. Source: RFC 9110 section 13.1.2, weak comparison."""
    known = [known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")]
    return tag in known or known == ["*"]


def plain(body: object) -> Response:
    """200 with `body` as JSON, not to be cached."""
    return Response(msgspec.json.encode(body), headers={"Cache-Control": "no-store"}, media_type="application/json")


def shown(value: object) -> str:
    """The value as JSON for a problem, cut to 100 characters."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 100 else f"{text[:99]}…"
