"""Completes the header `Allow` of a 405 with all methods of the path. Source: RFC 9110 section 15.5.6."""

from starlette.routing import Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class AllowMiddleware:
    """Completes `Allow` in answers with status 405, because each of `router`'s routes knows only its own methods."""

    def __init__(self, app: ASGIApp, router: Router) -> None:
        self._app, self._router = app, router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                others = [(name, value) for name, value in message["headers"] if name.lower() != b"allow"]
                allowed = ", ".join(self._methods(scope)).encode()
                message = {**message, "headers": [*others, (b"allow", allowed)]}
            await send(message)

        await self._app(scope, receive, complete if scope["type"] == "http" else send)

    def _methods(self, scope: Scope) -> list[str]:
        methods = {method for method in METHODS if self._is_served({**scope, "method": method})}
        return sorted(methods | ({"HEAD"} if "GET" in methods else set()))

    def _is_served(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._router.routes)
