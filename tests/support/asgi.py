"""Requests to an application as a server hands them over: clients tidy up what they send."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from starlette.types import ASGIApp, Message


class Answer(NamedTuple):
    """What the application has sent; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(app: ASGIApp, method: str, target: str, headers: Sequence[tuple[str, str]]) -> Answer:
    """The answer to a request without a body, whose target is sent as it stands."""
    path, _, query = target.partition("?")
    begun: list[Message] = []
    body = bytearray()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            begun.append(message)
        body.extend(message.get("body", b""))

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50_000),
        "headers": [
            (b"host", b"127.0.0.1"),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in headers),
        ],
    }
    await app(scope, receive, send)
    (start,) = begun
    found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], found, bytes(body))
