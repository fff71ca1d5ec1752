"""Answers HEAD as GET, without the body. Source: RFC 9110 section 9.3.2."""

import asyncio

from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAMS = (b"text/event-stream", b"application/x-ndjson")
"""Media types of answers that are written as they are made: some have no end, and others take long."""


class HeadMiddleware:
    """Passes a HEAD request to the routes of `router` as GET, and drops the body.

    A stream, such as of events, is cancelled at its headers, and answered when it is over: what it held is free
    then. A route with its own HEAD gets the request unchanged.
    """

    def __init__(self, app: ASGIApp, router: Router) -> None:
        self._app, self._router = app, router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or _is_served(self._router.routes, scope):
            await self._app(scope, receive, send)
            return
        held: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.start":
                if _is_stream(message):
                    held.set_result(message)
                    # The route is cancelled while it waits here, before it sends anything more.
                    await asyncio.Event().wait()
                await send(message)
            elif not message.get("more_body"):
                await send({"type": "http.response.body"})

        # RFC 9110 section 14.2: Range applies to GET only.
        headers = [(name, value) for name, value in scope["headers"] if name not in (b"range", b"if-range")]
        answering = asyncio.ensure_future(
            self._app({**scope, "method": "GET", "headers": headers}, receive, headers_only)
        )
        try:
            await asyncio.wait((answering, held), return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
            await asyncio.wait((answering,))
        if held.done():
            # Now that the route is over and holds nothing: the next request may be for what it held.
            await send(held.result())
            await send({"type": "http.response.body"})
        if not answering.cancelled():
            answering.result()


def _is_stream(start: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(STREAMS) for name, value in start["headers"])


def _is_served(routes: list[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
