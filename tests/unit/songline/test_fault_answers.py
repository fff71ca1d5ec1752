"""What the API answers to errors that nobody foresaw: like any other answer, and without a word of the inside."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from xml.etree import ElementTree

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Message

from songline.api.limit_settings import REQUESTS
from songline.projections.http.browser_headers import BROWSER_HEADERS
from songline.projections.http.fault_answers import FaultAnswers
from songline.projections.http.hosts import ORIGINS
from songline.schemas.refusal_note import FAULT
from tests.support.guarded import Headers, allowed, client, composed
from tests.unit.songline.test_refusal_counts import counts

SECRET = "AccountKey=c2VjcmV0IG9mIHRoZSBhY2NvdW50"
ORIGIN = "https://player.example"
STATE = (
    "events",
    "feed",
    "hub",
    "imported",
    "ingestions",
    "libraries",
    "names",
    "opensubsonic",
    "parked",
    "songs",
    "staleness",
    "tokens_of_players",
    "versions",
)
WORDS = "The fault is ours; the log has the cause."
BY_LAYER = [
    ("GET", "/v1/charts/top/1h"),
    ("GET", "/v1/users/user-7/library"),
    ("GET", "/v1/songs"),
    ("GET", "/v1/ingestions/upload-1"),
    ("GET", "/v1/parked"),
    ("POST", "/v1/events"),
]


class _Broken:
    """Fails in a way that nobody foresaw, whatever is asked of it."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"{name}: {SECRET}")


def broken(settings: Mapping[str, str] | None = None) -> FastAPI:
    app = composed({REQUESTS: "100", ORIGINS: ORIGIN, **(settings or {})}, is_answered=False)
    for name in STATE:
        setattr(app.state, name, _Broken())
    return app


def completed(answer: httpx.Response, caplog: pytest.LogCaptureFixture) -> None:
    """The answer has all that the layers add to any other, and the log the error, once."""
    assert answer.status_code == 500
    assert {name: answer.headers[name] for name in BROWSER_HEADERS} == dict(BROWSER_HEADERS)
    assert answer.headers["ratelimit-limit"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert SECRET not in answer.text
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert SECRET in str(record.exc_info[1])


@pytest.mark.parametrize(("method", "path"), BY_LAYER)
@pytest.mark.parametrize("auth", ["on", "off"])
async def test_a_fault_is_answered_as_a_problem(
    method: str, path: str, auth: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = broken({} if auth == "on" else {"SONGLINE_AUTH": "off"})
    async with client(app) as http:
        answer = await http.request(method, path, headers=[*allowed(), ("Origin", ORIGIN)])
        completed(answer, caplog)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == WORDS
        found = await counts(http)
    reasons = [key for key in found if key[3] == FAULT]
    assert [(status, found[key]) for key in reasons for status in key[2:3]] == [(500, 1)]
    if auth == "on":
        assert reasons[0][0].startswith(f"{method} /v1/")


async def test_head_has_the_same_answer_without_a_body(caplog: pytest.LogCaptureFixture) -> None:
    async with client(broken()) as http:
        answer = await http.head("/v1/charts/top/1h", headers=[*allowed(), ("Origin", ORIGIN)])
    completed(answer, caplog)
    assert answer.content == b""


async def test_players_of_listenbrainz_get_its_form(caplog: pytest.LogCaptureFixture) -> None:
    headers: Headers = [("Authorization", "Token abc"), ("Origin", ORIGIN)]
    async with client(broken()) as http:
        answer = await http.get("/1/validate-token", headers=headers)
    completed(answer, caplog)
    assert answer.json() == {"code": 500, "error": WORDS}
    assert answer.headers["x-ratelimit-limit"]


@pytest.mark.parametrize("form", ["json", "xml"])
async def test_players_of_opensubsonic_get_its_form(form: str, caplog: pytest.LogCaptureFixture) -> None:
    async with client(broken()) as http:
        answer = await http.get("/rest/ping", params={"f": form, "apiKey": "abc"}, headers={"Origin": ORIGIN})
        found = await counts(http)
    completed(answer, caplog)
    if form == "json":
        inside = json.loads(answer.content)["subsonic-response"]
        assert (inside["status"], inside["error"]) == ("failed", {"code": 0, "message": WORDS})
    else:
        (error,) = ElementTree.fromstring(answer.content)
        assert error.attrib == {"code": "0", "message": WORDS}
    assert found["GET /rest/ping", "nobody", 500, FAULT] == 1
    assert "abc" not in " ".join(caplog.messages)


async def test_an_answer_that_had_begun_is_cut_off_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    app = broken()

    async def lines() -> AsyncIterator[bytes]:
        yield b"one\n"
        raise RuntimeError(SECRET)

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(lines())

    app.add_route("/stream", stream)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        # The client stays.
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/stream",
        "raw_path": b"/stream",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    # The server logs what is raised, once, and closes the connection.
    with pytest.raises(RuntimeError, match="AccountKey"):
        await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["more_body"]
    assert not [record for record in caplog.records if record.exc_info]
    async with client(app) as http:
        assert (await counts(http))["other", "nobody", 500, FAULT] == 1


async def test_a_client_that_has_gone_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def gone(scope: object, receive: object, send: object) -> None:
        raise ClientDisconnect

    async def nothing() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await FaultAnswers(gone)({"type": "http", "method": "GET"}, nothing, send)
    assert caplog.records == []


async def test_a_fault_of_what_finds_out_who_calls_is_answered_too(caplog: pytest.LogCaptureFixture) -> None:
    app = broken()
    app.state.verifier = _Broken()
    async with client(app) as http:
        answer = await http.get("/v1/parked", headers=[*allowed(), ("Origin", ORIGIN)])
    completed(answer, caplog)
    assert answer.json()["detail"] == WORDS
