"""How much a caller uploads: the bucket of bytes, what an upload takes out of it, and what comes back."""

from collections.abc import AsyncIterator
from fractions import Fraction

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from songline.api.caller_table import CallerTable
from songline.api.limit_settings import UPLOAD_BYTES, LimitSettings, of_a_day
from songline.api.limits import UPLOADS, CallerLimits
from songline.api.rate_bucket import draw, give_back, wait_s
from songline.api.refusals import refusal
from songline.api.refused_limits import RefusedLimits
from songline.api.request_account import RequestAccounts
from songline.cloud.settings import SettingError
from songline.producers.http.byte_charge import byte_charge
from songline.producers.http.problems import RequestDeclinedError
from tests.support.known_callers import Clock, KnownTokens

DAY = 86_400


@given(st.lists(st.tuples(st.integers(-400, 900), st.integers(0, 40_000)), max_size=40))
def test_a_bucket_of_bytes_is_as_exact_as_one_in_fractions(steps: list[tuple[int, int]]) -> None:
    """Each step waits, and takes so many bytes, or puts them back where the number is below zero."""
    policy, full_s, now_s, inside = of_a_day(1_000), 0.0, 1_000.0, Fraction(1_000)
    for amount, pause_s in steps:
        now_s += pause_s
        inside = min(Fraction(1_000), inside + Fraction(pause_s * 1_000, DAY))
        if amount < 0:
            full_s = give_back(policy, full_s, now_s, -amount).full_s
            inside = min(Fraction(1_000), inside - amount)
            continue
        drawn = draw(policy, full_s, now_s, amount)
        if abs(inside - amount) > Fraction(1, 1_000):
            assert drawn.allowed == (inside >= amount)
        if drawn.allowed:
            inside -= amount
        else:
            later_s = wait_s(policy, full_s, now_s, amount)
            assert draw(policy, full_s, now_s + later_s, amount).allowed
            assert later_s == 1 or not draw(policy, full_s, now_s + later_s - 1.01, amount).allowed
        full_s = drawn.full_s


def api(clock: Clock, settings: LimitSettings) -> httpx.AsyncClient:
    async def upload(request: Request) -> Response:
        announced = request.headers.get("content-length")
        with byte_charge(request.scope, None if announced is None else int(announced)) as charge:
            async for piece in request.stream():
                charge.count(len(piece))
            if "broken" in request.query_params:
                raise RequestDeclinedError(503, "Away", "try again", 1)
            charge.keep()
        return PlainTextResponse("yes", 202)

    async def declined(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestDeclinedError)
        return refusal(error)

    accounts = RequestAccounts(settings, CallerTable(), is_open=False, steady=clock)
    app = Starlette(
        routes=[Route(path, upload, methods=["POST"]) for path in ("/v1/songs", "/v1/imports", "/v1/events")],
        exception_handlers={RequestDeclinedError: declined},
        middleware=[
            Middleware(RefusedLimits, accounts=accounts),
            Middleware(KnownTokens),
            Middleware(CallerLimits, accounts=accounts, uploaded=CallerTable()),
        ],
    )
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://songline")


LIMITED = LimitSettings(caller=None, service=None, upload_bytes=of_a_day(1_000))


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100):
        yield b"x" * 100


def left(answer: httpx.Response) -> int:
    return int(answer.headers["ratelimit"].partition("r=")[2].partition(";")[0])


async def send(
    client: httpx.AsyncClient, size: int, who: str = "ana", path: str = "/v1/songs", announced: bool = True
) -> httpx.Response:
    content = b"x" * size if announced else in_pieces(size)
    return await client.post(path, content=content, headers={"Authorization": f"Bearer {who}"} if who else {})


@pytest.mark.parametrize("announced", [True, False])
async def test_what_is_accepted_is_taken_and_comes_back_over_a_day(announced: bool) -> None:
    clock = Clock()
    async with api(clock, LIMITED) as client:
        first = await send(client, 600, announced=announced)
        assert (first.status_code, left(first)) == (202, 400)
        assert first.headers["ratelimit-policy"] == f'"upload-bytes";q=1000;w={DAY}'
        refused = await send(client, 600, path="/v1/imports", announced=announced)
        assert refused.status_code == 429
        body = refused.json()
        assert body["title"] == "Uploaded too much"
        assert body["detail"].startswith("subject ana: saw ")
        assert body["detail"].endswith(f"{UPLOAD_BYTES} sets the limit.")
        clock.now_s += int(refused.headers["retry-after"])
        if announced:
            # 200 bytes are a fifth of a day.
            assert int(refused.headers["retry-after"]) == DAY // 5
            assert "send it again in 5 hours" in body["detail"]
            assert (await send(client, 600)).status_code == 202
        # The one that came in pieces was told when its next piece would have been taken; all of it came back.
        clock.now_s += DAY
        assert (await send(client, 1_000, announced=announced)).status_code == 202


@pytest.mark.parametrize("announced", [True, False])
async def test_more_than_a_day_allows_is_too_large(announced: bool) -> None:
    async with api(Clock(), LIMITED) as client:
        refused = await send(client, 1_100, announced=announced)
        assert (refused.status_code, refused.json()["title"]) == (413, "More than one may upload in a day")
        assert "retry-after" not in refused.headers
        assert left(await send(client, 100)) == 900


@pytest.mark.parametrize("announced", [True, False])
async def test_what_is_not_accepted_costs_nothing(announced: bool) -> None:
    async with api(Clock(), LIMITED) as client:
        for _ in range(5):
            assert (await send(client, 900, path="/v1/songs?broken", announced=announced)).status_code == 503
        assert left(await send(client, 100)) == 900


async def test_each_caller_has_a_bucket_and_an_operator_none() -> None:
    async with api(Clock(), LIMITED) as client:
        for who in ("ana", "ben events:write:any", ""):
            assert [(await send(client, 800, who)).status_code for _ in range(2)] == [202, 429], who
        assert [(await send(client, 5_000, "root admin")).status_code for _ in range(3)] == [202] * 3
        # Events are no files.
        assert [(await send(client, 800, path="/v1/events")).status_code for _ in range(3)] == [202] * 3


async def test_the_quota_stands_beside_that_of_requests() -> None:
    async with api(Clock(), LimitSettings(upload_bytes=of_a_day(1_000))) as client:
        answer = await send(client, 100)
        assert answer.headers["ratelimit-policy"] == f'"requests";q=200;w=2, "upload-bytes";q=1000;w={DAY}'
        assert answer.headers["ratelimit-limit"] == "200"


async def test_without_a_bound_nothing_is_said() -> None:
    async with api(Clock(), LimitSettings(caller=None, upload_bytes=None)) as client:
        answer = await send(client, 100_000)
        assert answer.status_code == 202
        assert "ratelimit" not in answer.headers


def test_the_bound_is_a_setting() -> None:
    assert LimitSettings.read({}).upload_bytes == of_a_day(100_000_000_000)
    assert LimitSettings.read({UPLOAD_BYTES: "5000000"}).upload_bytes == of_a_day(5_000_000)
    assert LimitSettings.read({UPLOAD_BYTES: "off"}).upload_bytes is None
    for text in ("0", "-1", "nan", "1e16", "much", "OFF"):
        with pytest.raises(SettingError, match=rf"{UPLOAD_BYTES}: saw '{text}', expected bytes of files .* or off"):
            LimitSettings.read({UPLOAD_BYTES: text})


def test_files_come_in_by_these_operations() -> None:
    assert {("POST", "/v1/songs"), ("POST", "/v1/imports")} <= UPLOADS
