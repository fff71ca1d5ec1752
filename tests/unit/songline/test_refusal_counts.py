"""What is counted of requests that are refused."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from songline.api.refusal_counts import MAX_LOGGED, RefusalCounter, RefusalCounts
from songline.identity.scopes import OWN_SCOPES
from songline.schemas.refusal_note import RefusalNote, note_of
from tests.support.guarded import BAD, allowed, bearer, client, composed
from tests.support.waiting import wait_for_async

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)


async def counts(http: httpx.AsyncClient) -> dict[tuple[Any, ...], int]:
    """The counts that the API tells an operator, by operation, caller, status and reason."""
    answer = await http.get("/health/refusals", headers=allowed("operator", "admin"))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["since"]
    return {(one["operation"], one["caller"], one["status"], one["reason"]): one["count"] for one in found["refused"]}


async def test_each_refusal_is_counted_by_its_reason_without_names() -> None:
    own = " ".join(OWN_SCOPES)
    parked, library = "GET /v1/parked", "GET /v1/users/{user_id}/library"
    async with client(composed({"SONGLINE_ORIGINS": "https://a.example"}, is_answered=False)) as http:
        for reason, wrong in (
            ("expired", "expired"),
            ("not-yet-valid", "not yet valid"),
            ("issuer", "another issuer"),
            ("audience", "another audience"),
            ("algorithm", "algorithm none"),
            ("algorithm", "HS256 with the public key"),
            ("unknown-key", "an unknown key"),
            ("signature", "another signature"),
            ("type", "an id token"),
            ("claims", "no subject"),
            ("too-long", "a huge one"),
            ("malformed", "two headers"),
        ):
            before = (await counts(http)).get((parked, "nobody", 401, reason), 0)
            assert (await http.get("/v1/parked", headers=BAD[wrong]())).status_code == 401
            assert (await counts(http))[parked, "nobody", 401, reason] == before + 1, wrong
        for headers, path in (
            ([], "/v1/parked"),
            (allowed("user-7", own), "/v1/parked"),
            (allowed("user-7", own), "/v1/users/user-8/library"),
            (allowed("svc", "events:write:any"), "/v1/users/user-8/library"),
            ([*allowed("user-7", own), ("Host", "evil.example")], "/v1/charts"),
        ):
            await http.get(path, headers=headers)
        await http.post("/v1/events", headers={"Sec-Fetch-Site": "cross-site"})
        found = await counts(http)
        assert found[parked, "nobody", 401, "missing"] == 1
        assert found[parked, "listener", 403, "scope"] == 1
        assert found[library, "listener", 403, "another-listener"] == 1
        assert found[library, "service", 403, "scope"] == 1
        assert found["other", "nobody", 400, "address"] == 1
        assert found["other", "nobody", 403, "cross-site"] == 1
        text = (await http.get("/health/refusals", headers=allowed("operator", "admin"))).text
        for hidden in ("user-8", "user-7", "127.0.0.1", "eyJ", "evil"):
            assert hidden not in text


async def test_what_a_limit_refuses_is_counted() -> None:
    settings = {"SONGLINE_REQUESTS_PER_SECOND": "0.1", "SONGLINE_SERVICE_REQUESTS_PER_SECOND": "off"}
    async with client(composed(settings, is_answered=False)) as http:
        answers = [(await http.get("/v1/session")).status_code for _ in range(2)]
        assert answers == [200, 429]
        assert (await http.get("/v1/parked", headers=bearer("x"))).status_code == 429
        found = await counts(http)
        assert found["GET /v1/session", "nobody", 429, "too-many-requests"] == 1
        # What was wrong with the token is known, whatever was answered.
        assert found["GET /v1/parked", "nobody", 429, "malformed"] == 1


async def test_the_counts_are_for_operators() -> None:
    async with client(composed({}, is_answered=False)) as http:
        assert (await http.get("/health/refusals")).status_code == 401
        assert (await http.get("/health/refusals", headers=allowed(scopes=" ".join(OWN_SCOPES)))).status_code == 403


def test_counts_are_in_order_and_kept_apart() -> None:
    counted = RefusalCounts(BEGAN)
    for operation, status in (("b", 401), ("a", 403), ("b", 401)):
        counted.add(status, RefusalNote(operation))
    assert [(one.operation, one.reason, one.count) for one in counted.answer().refused] == [
        ("a", "another-listener", 1),
        ("b", "missing", 2),
    ]


def refusing(log_s: float) -> tuple[RefusalCounter, httpx.AsyncClient]:
    async def answer(request: Request) -> Response:
        note_of(request.scope).operation = f"GET /{request.query_params['n']}"
        return PlainTextResponse("no", 401)

    counter = RefusalCounter(Starlette(routes=[Route("/", answer)]), RefusalCounts(BEGAN), log_s)
    return counter, httpx.AsyncClient(transport=httpx.ASGITransport(counter), base_url="http://x")


async def test_the_log_tells_refusals_together(caplog: pytest.LogCaptureFixture) -> None:
    counter, http = refusing(3_600)
    async with http:
        for number in (0, *range(MAX_LOGGED + 2)):
            await http.get("/", params={"n": number})
    counter.tell()
    (line,) = caplog.messages
    assert line.startswith("refused within 3600 s: 2 x 401 missing (nobody) GET /0; 1 x 401 missing (nobody) GET /")
    assert line.endswith("; 2 others")


async def test_the_log_tells_a_refusal_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    _, http = refusing(0.01)
    for number in (1, 2):

        async def is_told(number: int = number) -> bool:
            return f"1 x 401 missing (nobody) GET /{number}" in caplog.text

        await http.get("/", params={"n": number})
        await wait_for_async(is_told, "the refusal to be logged")
    await http.aclose()
