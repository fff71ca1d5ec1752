"""How many requests and streams a caller may have: the bucket, the table of callers, and the layers."""

import asyncio
import math
from collections.abc import AsyncIterator
from fractions import Fraction

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from songline.api.app import ApiSettings, compose
from songline.api.caller_table import CallerTable, TooManyStreamsError
from songline.api.guard_settings import AUTH
from songline.api.limit_settings import REQUESTS, SERVICE_REQUESTS, STREAMS, LimitSettings
from songline.api.limits import SERVICE_STREAMS, STREAM_PATHS, CallerLimits
from songline.api.operations import OPERATIONS
from songline.api.rate_bucket import BucketPolicy, draw
from songline.api.refusals import refusal
from songline.api.refused_limits import RefusedLimits
from songline.api.request_account import RequestAccounts
from songline.cloud.settings import COSMOS_CONNECTION, SettingError
from songline.identity.caller import Caller
from songline.producers.http.callers import Callers
from songline.producers.http.event_charge import charge_events
from songline.producers.http.problems import RequestDeclinedError
from songline.schemas.caller_name import caller_name
from tests.support.known_callers import Clock, KnownTokens
from tests.support.waiting import wait_for_async

POLICY = BucketPolicy(2, 4)


@given(
    per_s=st.sampled_from([0.1, 0.3, 1, 3, 7, 100]),
    burst=st.integers(1, 20),
    pauses=st.lists(st.integers(0, 40), max_size=60),
)
def test_a_bucket_allows_what_one_that_counts_exactly_does(per_s: float, burst: int, pauses: list[int]) -> None:
    """The reference counts what is in the bucket in fractions, and is filled up at each request. Pauses are tenths of
    what one request takes to come back."""
    policy = BucketPolicy(per_s, burst)
    full_s, now_s, inside, passed = 0.0, 1_000.0, Fraction(burst), Fraction(0)
    for tenths in pauses:
        inside = min(Fraction(burst), inside + Fraction(tenths, 10))
        passed += Fraction(tenths, 10)
        now_s = 1_000.0 + float(passed) / per_s
        drawn = draw(policy, full_s, now_s)
        assert drawn.allowed == (inside >= 1)
        inside -= drawn.allowed
        full_s = drawn.full_s
        assert drawn.remaining == math.floor(inside)
        assert 0 <= drawn.next_s <= drawn.reset_s <= math.ceil(burst / per_s)
        if not drawn.allowed:
            assert draw(policy, full_s, now_s + max(1, drawn.next_s)).allowed


def test_no_more_than_burst_and_rate_allow_come_in() -> None:
    full_s, allowed = 0.0, 0
    for hundredth in range(1_000):
        drawn = draw(POLICY, full_s, hundredth / 100)
        full_s, allowed = drawn.full_s, allowed + drawn.allowed
    assert allowed == 4 + 2 * 10 - 1


def test_a_bounded_number_of_callers_is_known() -> None:
    table = CallerTable(room=2)
    for name in ("ana", "ben", "ana", "cleo"):
        table.draw(name, POLICY, 5.0)
    # Ben, who was not seen for longest, is forgotten, and begins with a full bucket.
    assert table.draw("ana", POLICY, 5.0).remaining == 1
    assert table.draw("ben", POLICY, 5.0).remaining == 3


def test_streams_are_counted_while_they_last() -> None:
    table = CallerTable()
    with table.streaming("ana", 1):
        with pytest.raises(TooManyStreamsError), table.streaming("ana", 1):
            raise AssertionError
        with table.streaming("ben", 1):
            pass
    with table.streaming("ana", 1):
        pass


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, LimitSettings()),
        ({REQUESTS: "5"}, LimitSettings(caller=BucketPolicy(5, 10))),
        ({REQUESTS: "0.1"}, LimitSettings(caller=BucketPolicy(0.1, 1))),
        ({REQUESTS: "off", SERVICE_REQUESTS: "off", STREAMS: "3"}, LimitSettings(None, None, 3)),
        ({SERVICE_REQUESTS: "50000"}, LimitSettings(service=BucketPolicy(50_000, 100_000))),
    ],
)
def test_limits_are_settings(environ: dict[str, str], expected: LimitSettings) -> None:
    assert LimitSettings.read(environ) == expected


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", "1e9", "OFF"])
@pytest.mark.parametrize("name", [REQUESTS, SERVICE_REQUESTS])
def test_what_is_no_limit_is_refused(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=rf"{name}: saw '{text}', expected .* from 0.1 to 1e\+06, or off"):
        LimitSettings.read({name: text})


async def _answer(request: Request) -> Response:
    return PlainTextResponse(str(caller_name(request.scope)))


async def _follow(request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        yield b": here\n\n"
        await asyncio.sleep(3_600)

    return StreamingResponse(events(), media_type="text/event-stream")


def api(clock: Clock, settings: LimitSettings, is_open: bool = False) -> httpx.AsyncClient:
    accounts = RequestAccounts(settings, CallerTable(), is_open, clock)

    async def batch(request: Request) -> Response:
        charge_events(request.scope, int(request.query_params["events"]))
        return PlainTextResponse("yes")

    async def declined(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestDeclinedError)
        return refusal(error)

    paths = ("/v1/charts", "/health/live", "/assets/app.js", "/docs/assets/swagger.js")
    app = Starlette(
        routes=[
            *(Route(path, _answer) for path in paths),
            Route("/v1/live", _follow),
            Route("/v1/events", batch, methods=["POST"]),
        ],
        exception_handlers={RequestDeclinedError: declined},
        middleware=[
            Middleware(RefusedLimits, accounts=accounts),
            Middleware(KnownTokens),
            Middleware(CallerLimits, accounts=accounts, uploaded=CallerTable()),
        ],
    )
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://songline")


LOW = LimitSettings(caller=POLICY, service=BucketPolicy(5, 10), streams=2)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def test_a_caller_who_sends_too_much_is_told_when_to_ask_again() -> None:
    clock = Clock()
    async with api(clock, LOW) as client:
        first = await client.get("/v1/charts")
        assert {name: value for name, value in first.headers.items() if name.startswith("ratelimit")} == {
            "ratelimit-policy": '"requests";q=4;w=2',
            "ratelimit": '"requests";r=3;t=1',
            "ratelimit-limit": "4",
            "ratelimit-remaining": "3",
            "ratelimit-reset": "1",
        }
        assert [(await client.get("/v1/charts")).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = await client.get("/v1/charts")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit"] == '"requests";r=0;t=1'
        assert refused.headers["content-type"] == "application/problem+json"
        body = refused.json()
        assert (body["status"], body["title"]) == (429, "Too many requests")
        assert body["detail"] == (
            "192.0.2.7: saw more than 2 requests a second, expected so many at most, or 4 at once after a pause; each "
            f"event of a batch counts as a request. Ask again later; {REQUESTS} sets the limit."
        )
        clock.now_s += 1
        assert [(await client.get("/v1/charts")).status_code for _ in range(3)] == [200, 200, 429]
        for path in ("/health/live", "/assets/app.js", "/docs/assets/swagger.js"):
            unlimited = await client.get(path)
            assert unlimited.status_code == 200
            assert "ratelimit" not in unlimited.headers


async def test_a_subject_has_a_bucket_of_its_own_and_a_service_a_larger_one() -> None:
    async with api(Clock(), LOW) as client:
        for who, most in (("", 4), ("ana charts:read", 4), ("ben", 4), ("svc events:write:any", 10)):
            headers = bearer(who) if who else {}
            answers = [(await client.get("/v1/charts", headers=headers)).status_code for _ in range(most + 1)]
            assert answers == [200] * most + [429], who


async def test_what_bounds_a_caller_knows_their_name_and_no_service_s() -> None:
    async with api(Clock(), LOW) as client:
        for who, name in (("", "192.0.2.7"), ("ana charts:read", "subject ana"), ("svc library:read:any", "None")):
            assert (await client.get("/v1/charts", headers=bearer(who) if who else {})).text == name
    async with api(Clock(), LOW, is_open=True) as client:
        assert (await client.get("/v1/charts")).text == "None"


async def test_nobody_has_a_small_bucket_where_nobody_is_asked_for_a_token() -> None:
    async with api(Clock(), LOW, is_open=True) as client:
        assert [(await client.get("/v1/charts")).status_code for _ in range(11)] == [200] * 10 + [429]


async def test_each_event_of_a_batch_counts_as_a_request() -> None:
    clock = Clock()

    async def send(client: httpx.AsyncClient, events: int) -> tuple[int, str, str]:
        answer = await client.post("/v1/events", params={"events": events}, headers=bearer("ana"))
        return answer.status_code, answer.headers["ratelimit-remaining"], answer.headers.get("retry-after", "")

    async with api(clock, LOW) as client:
        assert await send(client, 3) == (200, "1", "")
        # The bucket has one: the batch comes in, and nine are owed. One that is empty is no batch.
        assert await send(client, 10) == (200, "0", "")
        assert await send(client, 0) == (429, "0", "5")
        clock.now_s += 4.5
        assert await send(client, 1) == (429, "0", "1")
        clock.now_s += 0.5
        assert await send(client, 1) == (200, "0", "")
        # Two batches at a time: both have begun, and the second finds that more is owed than there was.
        clock.now_s += 2
        table, policy = CallerTable(), BucketPolicy(2, 4)
        assert [table.draw("ben", policy, 0.0).allowed for _ in range(2)] == [True, True]
        assert [table.owe("ben", policy, 0.0, 999).allowed for _ in range(2)] == [True, False]
        assert table.draw("ben", policy, 498.4).allowed is False
        assert table.draw("ben", policy, 500.0).allowed is True


@given(st.lists(st.tuples(st.integers(1, 1_000), st.floats(0, 5)), max_size=40))
def test_however_batches_come_the_rate_is_kept(batches: list[tuple[int, float]]) -> None:
    """What comes in over a time is what the bucket held, what it gained, and one batch at most that is owed."""
    table, now_s, taken = CallerTable(), 0.0, 0
    for events, pause_s in batches:
        now_s += pause_s
        if table.draw("ana", POLICY, now_s).allowed:
            taken += 1
            if events > 1 and table.owe("ana", POLICY, now_s, events - 1).allowed:
                taken += events - 1
        assert taken <= POLICY.burst + POLICY.per_s * now_s + 1_000


async def test_tokens_that_are_refused_count_against_the_address() -> None:
    async with api(Clock(), LOW) as client:
        answers = [(await client.get("/v1/charts", headers=bearer("bad"))).status_code for _ in range(5)]
        assert answers == [401] * 4 + [429]
        # Who shares the address and has a good token goes on; who has none has used up what there was.
        assert (await client.get("/v1/charts", headers=bearer("ana"))).status_code == 200
        assert (await client.get("/v1/charts")).status_code == 429


async def test_a_caller_has_so_many_streams_at_a_time() -> None:
    """Over a server's own calls, since httpx waits for the end of an answer."""
    app = api(Clock(), LimitSettings(service=None, caller=None, streams=2))._transport.app  # type: ignore[attr-defined]
    statuses: list[int] = []

    async def follow(authorization: str = "") -> None:
        headers = [(b"authorization", f"Bearer {authorization}".encode())] if authorization else []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/v1/live",
            "headers": headers,
            "client": ("192.0.2.7", 1),
            "query_string": b"",
            "http_version": "1.1",
        }

        async def receive() -> dict[str, str]:
            await asyncio.sleep(3_600)
            raise AssertionError

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                assert isinstance(status, int)
                statuses.append(status)

        await app(scope, receive, send)

    async def begun(count: int) -> None:
        async def are_there() -> bool:
            return len(statuses) >= count

        await wait_for_async(are_there, f"{count} streams")

    following = [asyncio.create_task(follow("ana")) for _ in range(2)]
    await begun(2)
    await follow("ana")
    others = [asyncio.create_task(follow(who)) for who in ("ben", "", *["svc events:write:any"] * 3)]
    await begun(8)
    assert statuses == [200, 200, 429] + [200] * 5
    # A service has many, and does not keep all others out.
    followers = [asyncio.create_task(follow("svc events:write:any")) for _ in range(SERVICE_STREAMS - 2)]
    await begun(8 + SERVICE_STREAMS - 2)
    assert statuses[8:].count(200) == SERVICE_STREAMS - 3
    assert statuses[8:].count(429) == 1
    for one in followers:
        one.cancel()
    await asyncio.gather(*followers, return_exceptions=True)
    del statuses[8:]
    for one in (*following, *others):
        one.cancel()
    await asyncio.gather(*following, *others, return_exceptions=True)
    following = [asyncio.create_task(follow("ana"))]
    await begun(9)
    assert statuses[-1] == 200
    following[0].cancel()
    await asyncio.gather(*following, return_exceptions=True)


def test_a_subject_is_no_address() -> None:
    callers = Callers()
    assert callers.of({"client": ("127.0.0.1", 5)}) == "127.0.0.1"
    state = {"caller": Caller("127.0.0.1", frozenset())}
    assert callers.of({"client": ("127.0.0.1", 5), "state": state}) == "subject 127.0.0.1"
    assert callers.of({"client": ("127.0.0.1", 5), "state": {"caller": None}}) == "127.0.0.1"
    assert callers.address_of({"client": ("127.0.0.1", 5), "state": state}) == "127.0.0.1"


async def test_the_whole_api_has_limits() -> None:
    settings = {COSMOS_CONNECTION: "AccountEndpoint=http://127.0.0.1:1/;AccountKey=a2V5"}
    app = compose(ApiSettings.read({**settings, AUTH: "off", SERVICE_REQUESTS: "0.1"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client:
        answers = [await client.get("/v1/charts") for _ in range(3)]
        assert answers[0].status_code == 200
        assert answers[0].headers["ratelimit-policy"] == '"requests";q=1;w=10'
        refused = next(one for one in answers if one.status_code == 429)
        # As every answer is.
        assert "frame-ancestors 'none'" in refused.headers["content-security-policy"]
        assert (await client.get("/health/live")).status_code == 200


def test_the_streams_that_are_counted_are_those_of_the_table_of_operations() -> None:
    streams = {path for (_, path), operation in OPERATIONS.items() if operation.is_stream}
    counted = {path for _, path in OPERATIONS if STREAM_PATHS.fullmatch(path)}
    assert streams == counted
