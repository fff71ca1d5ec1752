"""The control endpoint: health, on the path that Microsoft's emulators use."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def create(endpoints: Mapping[str, int]) -> Starlette:
    """The app; `endpoints` are the services' names and ports, filled by the time that it answers."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy", "ports": dict(endpoints)})

    return Starlette(routes=[Route("/health", health)])
