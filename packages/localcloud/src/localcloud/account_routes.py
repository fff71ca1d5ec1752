"""The control endpoint's way to the Cosmos DB account: create databases and containers, delete containers.

What Azure's management plane does. Tokens of Entra can't, with any role of data; the account's key can.
"""

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.cosmos.app import CosmosApp
from localcloud.cosmos.errors import CosmosError
from localcloud.cosmos.json_documents import encode


def account_routes(app: Callable[[], CosmosApp]) -> Sequence[Route]:
    """POST /cosmos/dbs and /cosmos/dbs/DATABASE/colls, DELETE /cosmos/dbs/DATABASE/colls/NAME, with bodies and answers
    of the service's own."""

    async def manage(request: Request) -> Response:
        path = request.url.path.removeprefix("/cosmos")
        try:
            reply = await app().manage(request.method, path, dict(request.headers), await request.body())
        except CosmosError as error:
            content = encode({"code": error.code, "message": error.message})
            return Response(content, error.status, media_type="application/json")
        return Response(reply.body, reply.status, media_type="application/json")

    return [
        Route("/cosmos/dbs", manage, methods=["POST"]),
        Route("/cosmos/dbs/{database}/colls", manage, methods=["POST"]),
        Route("/cosmos/dbs/{database}/colls/{container}", manage, methods=["DELETE"]),
    ]
