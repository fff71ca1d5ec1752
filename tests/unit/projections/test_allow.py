"""What an answer 405 says that a path takes."""

import asyncio

import httpx
from fastapi import APIRouter, FastAPI

from songline.projections.http.front import AllowedNames


def nothing() -> None:
    """What every route does here."""


def test_allow_names_the_methods_of_all_routes_of_a_path() -> None:
    app = FastAPI()
    for method in ("GET", "DELETE"):
        # As the application is put together: each part has a router of its own.
        part = APIRouter()
        part.add_api_route("/songs/{song}", nothing, methods=[method])
        app.include_router(part)
    app.add_api_route("/events", nothing, methods=["POST"])
    AllowedNames().install(app)

    async def ask() -> list[tuple[int, str]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
            answers = [await http.request("OPTIONS", path) for path in ("/songs/one", "/events")]
        return [(answer.status_code, answer.headers["allow"]) for answer in answers]

    assert asyncio.run(ask()) == [(405, "DELETE, GET, HEAD"), (405, "POST")]
