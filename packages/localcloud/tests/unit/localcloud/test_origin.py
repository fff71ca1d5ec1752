"""The control endpoint takes no orders of a page that a developer visits."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.origin import OwnOrigin


async def take(request: Request) -> Response:
    return Response(status_code=204)


APP = Starlette(routes=[Route("/faults", take, methods=["GET", "PUT"])], middleware=[Middleware(OwnOrigin)])


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("PUT", {}, 204),
        ("PUT", {"Host": "[::1]:5300"}, 204),
        ("PUT", {"Host": "localcloud:5300"}, 204),
        ("PUT", {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}, 204),
        ("GET", {"Origin": "https://evil.example"}, 204),
        ("GET", {"Host": "evil.example"}, 403),
        ("PUT", {"Host": "127.0.0.1.evil.example:5300"}, 403),
        ("PUT", {"Host": "127.0.0.1@evil.example"}, 403),
        ("PUT", {"Host": ""}, 403),
        ("PUT", {"Origin": "https://evil.example"}, 403),
        ("PUT", {"Origin": "null"}, 403),
        ("PUT", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("PUT", {"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_a_page_of_another_site_is_refused(method: str, headers: dict[str, str], status: int) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://127.0.0.1") as client:
        answer = await client.request(method, "/faults", headers=headers)
    assert answer.status_code == status
