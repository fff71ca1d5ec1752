"""What browsers are told about every answer: it is what it says it is, runs no script, and is in nobody's frame.

Source: W3C, "Content Security Policy Level 3"; WHATWG, "Fetch", section 3.6 (X-Content-Type-Options).
"""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from songline.projections.http.headers import RawHeaders, changing_headers

CONTENT_POLICY = "Content-Security-Policy"

BROWSER_HEADERS: Mapping[str, str] = {
    # No answer but a page has to load anything.
    CONTENT_POLICY: "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_RAW = [(name.lower().encode(), value.encode()) for name, value in BROWSER_HEADERS.items()]


class BrowserHeadersMiddleware:
    """Adds BROWSER_HEADERS to every answer that has no such header of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, changing_headers(send, _completed) if scope["type"] == "http" else send)


def _completed(headers: RawHeaders) -> RawHeaders:
    found = list(headers)
    there = {name.lower() for name, _ in found}
    return [*found, *(one for one in _RAW if one[0] not in there)]
