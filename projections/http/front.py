"""The layers between the server and the routes, outermost first: headers for browsers, text and host, CORS, cross-site
writes, HEAD, errors that nobody foresaw."""

from collections.abc import Mapping
from typing import Self
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI
from msgspec import Struct
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from songline.projections.http.allow import AllowMiddleware
from songline.projections.http.browser_headers import BrowserHeadersMiddleware
from songline.projections.http.fault_answers import FaultAnswers
from songline.projections.http.head import HeadMiddleware
from songline.projections.http.hosts import HOSTS, ORIGINS, is_foreign, is_ours, read_hosts, read_origins
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import shown
from songline.schemas.refusal_note import ADDRESS, CROSS_SITE, note_of

_REQUEST_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Range",
    "X-User-Id",
)
_RESPONSE_HEADERS = (
    "Accept-Ranges",
    "Content-Range",
    "ETag",
    "Location",
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
)


class AllowedNames(Struct, frozen=True):
    """The names under which the API answers beside its addresses, and the origins whose pages may use it."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The names in `environ`; raises SettingError."""
        return cls(read_hosts(environ), read_origins(environ))

    def install(self, app: FastAPI) -> None:
        """Put the layers before the routes of `app`."""
        app.add_middleware(FaultAnswers)
        app.add_middleware(AllowMiddleware, router=app.router)
        app.add_middleware(HeadMiddleware, router=app.router)
        app.add_middleware(_CrossSiteFilter, front=self)
        if self.origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=self.origins,
                allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
                allow_headers=_REQUEST_HEADERS,
                expose_headers=_RESPONSE_HEADERS,
            )
        app.add_middleware(_NamedHost, front=self)
        app.add_middleware(BrowserHeadersMiddleware)


class _NamedHost:
    """Refuses requests whose Host is no name of this API, or whose path is not UTF-8 or ends in a line feed."""

    def __init__(self, app: ASGIApp, front: AllowedNames) -> None:
        self._app, self._front = app, front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _misnamed(scope, self._front.hosts) if scope["type"] == "http" else None
        if refusal is not None:
            note_of(scope).reason = ADDRESS
        await (self._app if refusal is None else refusal)(scope, receive, send)


class _CrossSiteFilter:
    """Refuses writes that a page of another site sends."""

    def __init__(self, app: ASGIApp, front: AllowedNames) -> None:
        self._app, self._front = app, front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _cross_site(scope, self._front.origins) if scope["type"] == "http" else None
        if refusal is not None:
            note_of(scope).reason = CROSS_SITE
        await (self._app if refusal is None else refusal)(scope, receive, send)


def _misnamed(scope: Scope, hosts: tuple[str, ...]) -> Response | None:
    seen = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    # RFC 9112 section 3.2: exactly one. HTTP/1.0 needs none.
    if len(seen) > 1 or (not seen and scope["http_version"] == "1.1") or not all(is_ours(host, hosts) for host in seen):
        rule = f"one address or name of this API; {HOSTS} adds names"
        return refused(400, "No such host here", (Fault("Host", shown(", ".join(seen) or None), rule),))
    raw = scope.get("raw_path") or b""
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return refused(400, "Bad request", (Fault("path", shown(raw.decode("latin-1")), "UTF-8, percent-encoded"),))
    # The patterns of routes end in `$`, which also matches before a line feed.
    if scope["path"].rstrip("/").endswith("\n"):
        rule = "a path without a line feed at its end; /docs tells what there is"
        return refused(404, "Not Found", (Fault("path", shown(raw.decode("latin-1")), rule),))
    return None


def _cross_site(scope: Scope, origins: tuple[str, ...]) -> Response | None:
    foreign = is_foreign(scope["method"], Headers(scope=scope), origins)
    if foreign is None:
        return None
    detail = (
        f"Saw {foreign[:200]!r}, expected a request of this API's own page, or of what is no page. {ORIGINS} names "
        "the origins whose pages may write."
    )
    return answer(Problem("Another site's request", 403, detail))
