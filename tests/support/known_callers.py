"""What the layers of limits have before them, and a clock."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from songline.identity.caller import Caller


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class KnownTokens:
    """What stands for the layer that checks tokens: `Bearer SUBJECT SCOPE…` is good, and `Bearer bad` is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        if said == "bad":
            await PlainTextResponse("no", 401)(scope, receive, send)
            return
        subject, *scopes = said.split() or [""]
        scope.setdefault("state", {})["caller"] = Caller(subject, frozenset(scopes)) if subject else None
        await self._app(scope, receive, send)
