"""The layer that gives answers below `/1` the form that ListenBrainz' API has: errors, and headers about limits."""

import time
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songline.projections.http.problems import MEDIA_TYPE
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

PREFIX = "/1/"
_JSON = b"application/json"
_LIMITS = {
    b"ratelimit-limit": b"x-ratelimit-limit",
    b"ratelimit-remaining": b"x-ratelimit-remaining",
    b"ratelimit-reset": b"x-ratelimit-reset-in",
}

Headers = list[tuple[bytes, bytes]]


class _ShownProblem(Struct):
    status: int
    detail: str


class ApiError(Struct, frozen=True):
    """An error as ListenBrainz answers it."""

    code: int
    error: str


_problems = Decoder(_ShownProblem, "not-a-problem")


class ListenBrainzAnswers:
    """Writes problem documents of what is below PREFIX as ApiError; `now_s` is Unix time in seconds."""

    def __init__(self, app: ASGIApp, now_s: Callable[[], float] = time.time) -> None:
        self._app, self._now_s = app, now_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        started: Message | None = None
        body = bytearray()

        async def sent(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                message = {**message, "headers": with_limits(message.get("headers", ()), self._now_s())}
                if _is_problem(message["headers"]):
                    started = message
                    return
            elif message["type"] == "http.response.body" and started is not None:
                body.extend(message.get("body", b""))
                if message.get("more_body", False):
                    return
                content = error_of(bytes(body))
                await send({**started, "headers": _as_json(started["headers"], content)})
                message = {"type": "http.response.body", "body": content}
            await send(message)

        await self._app(scope, receive, sent)


def with_limits(headers: Iterable[tuple[bytes, bytes]], now_s: float) -> Headers:
    """The headers, and those of ListenBrainz beside our own."""
    found = list(headers)
    added = [(_LIMITS[name], value) for name, value in found if name in _LIMITS]
    for name, value in found:
        if name == b"ratelimit-reset":
            added.append((b"x-ratelimit-reset", b"%d" % (int(now_s) + int(value))))
    return found + added


def error_of(problem: bytes) -> bytes:
    """A problem document as ApiError; what is none, such as the empty body of an answer to HEAD, stays as it is."""
    try:
        found = _problems.decode(problem)
    except PoisonError:
        return problem
    return msgspec.json.encode(ApiError(found.status, found.detail))


def _is_problem(headers: Headers) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(MEDIA_TYPE.encode()) for name, value in headers)


def _as_json(headers: Headers, content: bytes) -> Headers:
    replaced = {b"content-type": _JSON, b"content-length": b"%d" % len(content)}
    return [(name, replaced.get(name.lower(), value)) for name, value in headers]
