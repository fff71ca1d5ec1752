"""`POST /v1/events` without the framework's routing, which costs more than all else that one event needs.

A layer in front of the routes. The route of the same address stays: it has the OpenAPI document, and answers what this
layer passes on.
"""

from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from songline.producers.http.event_routes import PATH
from songline.producers.http.problems import RequestDeclinedError
from songline.schemas.errors import ContractViolationError
from songline.schemas.permission import NotPermittedError


class DirectEvents:
    """Answers `POST /v1/events`; passes every other request, and one with a query, on to `app`.

    `refusal` is the response to what the endpoint raises.
    """

    def __init__(
        self,
        app: ASGIApp,
        refusal: Callable[[RequestDeclinedError | ContractViolationError | NotPermittedError], Response],
    ) -> None:
        self._app, self._refusal = app, refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_direct(scope):
            await self._app(scope, receive, send)
            return
        try:
            response = await scope["app"].state.events.respond(scope, receive)
        except (RequestDeclinedError, ContractViolationError, NotPermittedError) as error:
            response = self._refusal(error)
        except ClientDisconnect:
            return
        await response(scope, receive, send)


def _is_direct(scope: Scope) -> bool:
    return bool(
        scope["type"] == "http"
        and scope["path"] == PATH
        and scope["method"] == "POST"
        # The routes say which parameter is unknown.
        and not scope["query_string"]
    )
