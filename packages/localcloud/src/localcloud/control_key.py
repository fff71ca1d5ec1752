"""The key of the control endpoint, which injects faults, and makes and deletes hubs and namespaces."""

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_OPEN = "/health"


class ControlKey:
    """Refuses requests without `Authorization: Bearer KEY` (401), except those for health."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == _OPEN or self._is_known(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        rule = "`Bearer KEY`, with the key `control` of DATA/keys.json"
        answer = {"field": "Authorization", "value": "another, or none", "rule": rule}
        await JSONResponse(answer, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _is_known(self, headers: Headers) -> bool:
        return hmac.compare_digest(headers.get("authorization", "").encode(), self._expected)
