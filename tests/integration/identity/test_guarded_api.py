"""The API with tokens of localcloud's issuer: whose events, libraries and uploads a caller reaches."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from songline.api.publishing import SPILL_AFTER
from songline.identity.listener_id import listener_id
from songline.identity.scopes import Scope
from songline.processes.environment import OUTBOX
from tests.support.api import ApiProcess, token
from tests.support.http import exchange, status
from tests.support.localcloud import LocalCloud
from tests.support.worker import make_containers

ONE = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
ADA, GRACE = "ada", "grace"
WEBSOCKET = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
WEBSOCKET += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


@pytest.fixture(scope="module")
def api(shared_localcloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder = tmp_path_factory.mktemp("guarded")
    asyncio.run(make_containers(shared_localcloud.settings()))
    settings = {OUTBOX: str(folder / "outbox.db"), SPILL_AFTER: "60", "SONGLINE_ERASURES": "on"}
    api = ApiProcess({**shared_localcloud.environment, **settings}, folder / "api.log").start()
    yield api
    api.kill()


@pytest.fixture(scope="module")
def bearer(shared_localcloud: LocalCloud) -> Callable[..., dict[str, str]]:
    """The headers of a caller: a listener, or the client itself, with scopes of its own."""
    made: dict[tuple[object, ...], dict[str, str]] = {}

    def headers(user: str | None, *scopes: Scope) -> dict[str, str]:
        if (user, scopes) not in made:
            text = token(shared_localcloud.environment, user, [str(scope) for scope in scopes])
            made[user, scopes] = {"Authorization": f"Bearer {text}"}
        return made[user, scopes]

    return headers


Bearer = Callable[..., dict[str, str]]


@pytest.fixture
async def http(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with httpx.AsyncClient(base_url=api.address, timeout=60, trust_env=False) as client:
        yield client


def event(user: str, number: int, kind: str = "song.liked.v1", **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"guarded-{user}-{number}",
        "source": "/tests",
        "type": f"songline.{kind}",
        "time": datetime.now(UTC).isoformat(),
        "data": {"userId": user, "songId": "song-1", **data},
    }


async def test_an_event_is_its_listeners_own(http: httpx.AsyncClient, bearer: Bearer) -> None:
    own = bearer(ADA, Scope.EVENTS_WRITE)
    for user, expected in ((ADA, 200), (GRACE, 403), ("ADA", 403)):
        answer = await http.post("/v1/events", content=json.dumps(event(user, 1)), headers={**own, **ONE})
        assert answer.status_code == expected, answer.text
    assert answer.headers["www-authenticate"].endswith('error="insufficient_scope", scope="events:write:any"')
    assert "data.userId: saw" in answer.json()["detail"]
    service = bearer(None, Scope.EVENTS_WRITE_ANY)
    answer = await http.post("/v1/events", content=json.dumps(event(GRACE, 2)), headers={**service, **ONE})
    assert answer.status_code == 200, answer.text


async def test_in_a_batch_each_event_is_judged_for_itself(http: httpx.AsyncClient, bearer: Bearer) -> None:
    batch = [
        event(ADA, 10),
        event(GRACE, 10),
        event(ADA, 11, "song.removed.v1"),
        {**event(ADA, 12), "data": {"userId": GRACE, "songId": "s"}, "partitionkey": ADA},
        event(ADA, 13),
    ]
    answer = await http.post("/v1/events", content=json.dumps(batch), headers={**bearer(ADA), **BATCH})
    assert answer.status_code == 207, answer.text
    results = answer.json()["results"]
    assert [one["status"] for one in results] == ["sent", "refused", "refused", "refused", "sent"]
    assert [one["error"]["field"] for one in results if "error" in one] == ["data.userId", "type", "partitionkey"]
    # What was refused was not taken: its listener may say it.
    answer = await http.post("/v1/events", content=json.dumps(event(GRACE, 10)), headers={**bearer(GRACE), **ONE})
    assert (answer.status_code, "duplicate" in answer.json()) == (200, False)


async def test_the_listener_of_a_play_is_looked_for_wherever_it_may_be(http: httpx.AsyncClient, bearer: Bearer) -> None:
    path, own = "/v1/songs/song-1/plays", bearer(ADA)
    play = {"playedMs": 60_000, "durationMs": 60_000}
    tries: list[tuple[dict[str, Any], dict[str, str], int]] = [
        ({"userId": ADA}, {}, 200),
        ({}, {"X-User-Id": ADA}, 200),
        ({"userId": GRACE}, {}, 403),
        ({}, {"X-User-Id": GRACE}, 403),
        ({"userId": GRACE}, {"X-User-Id": ADA}, 403),
        ({}, {}, 400),
    ]
    for body, headers, expected in tries:
        answer = await http.post(path, json={**play, **body}, headers={**own, **headers})
        assert answer.status_code == expected, (body, headers, answer.text)


async def test_a_subject_that_is_no_id_has_events_uploads_and_a_library(
    http: httpx.AsyncClient, bearer: Bearer
) -> None:
    subject, listener = "ada@example.org", listener_id("ada@example.org")
    own = bearer(subject)
    for user, expected in ((listener, 200), (subject, 400), (ADA, 403)):
        answer = await http.post("/v1/events", content=json.dumps(event(user, 30)), headers={**own, **ONE})
        assert answer.status_code == expected, answer.text
    # The refusal says by which id the caller is known.
    assert listener in answer.json()["detail"]
    assert (await http.put(f"/v1/users/{listener}/likes/song-1", headers=own)).status_code == 200
    assert (await http.get(f"/v1/users/{listener}/library", headers=own)).status_code == 200
    # Without a user id an upload or a removal is the caller's own.
    assert (await http.get("/v1/ingestions", headers=own)).status_code == 200


async def test_a_library_is_read_by_its_listener(http: httpx.AsyncClient, bearer: Bearer) -> None:
    for part in ("library", "recent", "summary"):
        assert (await http.get(f"/v1/users/{ADA}/{part}", headers=bearer(ADA))).status_code == 200
        assert (await http.get(f"/v1/users/{GRACE}/{part}", headers=bearer(ADA))).status_code == 403
        anybodys = bearer(None, Scope.LIBRARY_READ_ANY)
        assert (await http.get(f"/v1/users/{GRACE}/{part}", headers=anybodys)).status_code == 200
        past = await http.get(f"/v1/users/{GRACE}/{part}?asOf=2026-11-01T00:00:00Z", headers=bearer(ADA))
        assert past.status_code == 403


async def test_the_health_says_nothing_of_tokens_that_are_asked_for(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health/ready")).json() == {"status": "ready"}
    assert (await http.get("/health/events")).status_code == 200


async def test_no_bytes_of_a_request_get_past_the_guard(api: ApiProcess, bearer: Bearer) -> None:
    """By hand, since clients send none of these."""
    own = bearer(ADA)["Authorization"]
    tries: list[tuple[str, list[str], int]] = [
        ("GET /v1/parked", [], 401),
        ("HEAD /v1/parked", [], 401),
        ("GET /v1/parked", [f"Authorization: {own}"], 403),
        ("GET /v1/parked", [f"Authorization: {own}", f"Authorization: {own}"], 401),
        ("GET /v1/parked", [f"authorization:{own}"], 403),
        ("GET /v1/parked", [f"Authorization : {own}"], 400),
        ("GET /v1/parked", [f"Authorization: {own}\tx"], 401),
        ("GET /v1/parked", ["Authorization: Bearer \xff\xfe"], 401),
        ("GET /v1/parked", ["X-Method-Override: OPTIONS"], 401),
        ("GET http://127.0.0.1/v1/parked", [], 401),
        ("GET //v1/parked", [], 404),
        ("GET /%2e%2e/v1/parked", [], 404),
        ("GET /health/live/../../v1/parked", [], 404),
        ("GET /assets/../v1/parked", [], 401),
        ("GET /%76%31/parked", [], 401),
        ("GET /v1%2fparked", [], 401),
        ("GET /v1/parked?asset=/health/live", [], 401),
        (f"GET /v1/users/{GRACE}/library", [f"Authorization: {own}"], 403),
        (f"GET /v1/users/{ADA}%2f..%2f{GRACE}/library", [f"Authorization: {own}"], 404),
        ("GET /v1/users/%67race/library", [f"Authorization: {own}"], 403),
        (f"PUT /v1/users/{GRACE}/likes/s", [f"Authorization: {own}", "Content-Length: 0"], 403),
        ("POST /v1/events?", ["Content-Length: 0"], 401),
        ("POST /v1/events", ["Content-Length: 9", "Transfer-Encoding: chunked"], 400),
        ("OPTIONS /v1/parked", [], 405),
        ("GET /v1/live", WEBSOCKET, 401),
        ("GET /v1/parked", [*WEBSOCKET, f"Authorization: {own}"], 403),
        ("GET /v1/parked", ["Connection: Upgrade", "Upgrade: h2c"], 401),
        ("TRACE /v1/parked", [], 405),
        ("get /v1/parked", [], 400),
    ]
    for line, headers, expected in tries:
        head = "\r\n".join([f"{line} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""])
        try:
            answer = await asyncio.to_thread(exchange, api.address, head.encode("latin-1"))
        except TimeoutError as error:
            raise AssertionError(f"{line} {headers}: no answer") from error
        assert status(answer) == expected, (line, headers, answer[:300])
    assert "Traceback" not in api.said
    # Who asks for another protocol fills no log.
    assert "upgrade" not in api.said.lower()
