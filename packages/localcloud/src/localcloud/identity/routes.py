"""The control endpoint's way to the issuer: let it sign by a new key."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.control import refused
from localcloud.identity.server import IdentityServer


def identity_routes(issuer: IdentityServer) -> Sequence[Route]:
    """POST /signing-keys."""

    async def rotate(request: Request) -> Response:
        try:
            return JSONResponse({"kid": issuer.rotate()}, status_code=201)
        except OSError as error:
            return refused("the disk", str(error.filename), str(error.strerror), 503)

    return [Route("/signing-keys", rotate, methods=["POST"])]
