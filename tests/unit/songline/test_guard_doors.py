"""Ways around an operation's own method and path: none of them leads past the guard."""

from urllib.parse import quote

import pytest
from fastapi import FastAPI
from starlette.types import Message

from songline.api.operations import OPERATIONS
from songline.players.tokens.token_lookup import PlayerTokenLookup
from tests.support.asgi import Answer, ask
from tests.support.guarded import BAD, GUARDED, allowed, asked, composed
from tests.unit.players.test_token_lookup import Kept

NO_DOOR = {301, 302, 307, 308, 400, 401, 403, 404, 405, 422}
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "POSTX"]
REWRITES = ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Envoy-Original-Path"]
OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"]


# Those of players have tokens of their own; what these open is in tests/unit/players.
CLOSED = {
    **GUARDED,
    **{key: operation for key, operation in OPERATIONS.items() if operation.is_of_players and not operation.is_open},
}
OPEN = {
    *("/health/live", "/health/ready", "/health/progress", "/health/events", "/health/identity"),
    *("/v1/session", "/v1/session/sign-in", "/v1/session/callback", "/v1/session/sign-out"),
}
OWN_CREDENTIALS = {
    # It says whether a token is good, and nothing else.
    "/1/validate-token": "tests/unit/players/test_player_guard.py",
    "/rest/{path:path}": "tests/unit/players/test_subsonic_doors.py",
}
"""Open to the guard, and asked for credentials of their own: which test holds that."""


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = composed({}, is_answered=False)
    app.state.tokens_of_players = PlayerTokenLookup(Kept())
    return app


def doors(path: str) -> list[str]:
    """The path as a client, a proxy or a server might read it as another one."""
    _, first, *rest = path.split("/")
    below = "/".join(rest)
    return [
        f"{path}/",
        f"{path}//",
        f"/{path}",
        f"//evil.example{path}",
        f"/{first}//{below}",
        f"/.{path}",
        f"/./{first}/{below}",
        f"/{first}/./{below}",
        f"/{first}/x/../{below}",
        f"/%2e{path}",
        f"/{first}/%2e%2e{path}",
        f"/%2F{path[1:]}",
        f"/{first}%2F{below}",
        quote(path, safe=""),
        f"/{first}%252F{below}",
        f"/{first}\\{below}",
        f"/{first}%5C{below}",
        f"{path};a=b",
        f"{path}%00",
        f"{path}%0a",
        f"{path}%20",
        f"{path}%23",
        f"{path}.json",
        path.upper(),
        f"/health/live/..{path}",
        f"/health/live/%2e%2e{path}",
        f"/assets/..%2f{path[1:]}",
        f"/docs/assets/%2e%2e/%2e%2e{path}",
        f"/v1/session/..{path}",
        f"http://127.0.0.1{path}",
        "*",
    ]


def no_answer(answer: Answer, what: object) -> None:
    assert answer.status in NO_DOOR, (what, answer.status, answer.body[:200])
    for name, value in answer.headers.items():
        assert not {"\r", "\n"} & set(value), (what, name)
    location = answer.headers.get("location", "")
    assert not location or location.startswith("http://127.0.0.1/"), (what, location)


def test_every_operation_is_tried_or_known_to_be_open() -> None:
    assert len(CLOSED) > 35
    opened = {template for (_, template), operation in OPERATIONS.items() if operation.is_open}
    assert opened - OWN_CREDENTIALS.keys() == OPEN
    assert {template for _, template in OPERATIONS} == opened | {template for _, template in CLOSED}


SHOWN = {
    "nothing": [],
    "expired": BAD["expired"](),
    "no scope": allowed(scopes="openid"),
}


@pytest.mark.parametrize("shown", SHOWN)
async def test_no_other_spelling_of_a_path_is_a_door(app: FastAPI, shown: str) -> None:
    for (method, template), operation in CLOSED.items():
        # For pages and documents any token is enough.
        if operation.scopes or shown != "no scope":
            for door in doors(asked(template)):
                no_answer(await ask(app, method, door, SHOWN[shown]), (method, door))


@pytest.mark.parametrize("method", METHODS)
async def test_no_other_method_is_a_door(app: FastAPI, method: str) -> None:
    paths = {asked(template) for _, template in CLOSED}
    for path in sorted(paths):
        for headers in ([], BAD["another signature"]()):
            no_answer(await ask(app, method, path, headers), (method, path))


async def test_no_header_changes_the_method_or_the_path(app: FastAPI) -> None:
    for method, template in CLOSED:
        for name in OVERRIDES:
            for value in ("GET", "OPTIONS", "HEAD"):
                no_answer(await ask(app, method, asked(template), [(name, value)]), (method, template, name))
        for name in (
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Forwarded-Prefix",
            "X-Forwarded-Uri",
            "X-Envoy-Original-Path",
        ):
            no_answer(await ask(app, method, asked(template), [(name, "/health/live")]), (method, template, name))


async def test_no_bad_token_is_a_door_for_head(app: FastAPI) -> None:
    for method, template in CLOSED:
        if method == "GET":
            for wrong, make in BAD.items():
                answer = await ask(app, "HEAD", asked(template), make())
                assert answer.status == 401, (template, wrong)


async def test_websockets_are_closed_whatever_their_path(app: FastAPI) -> None:
    for path in sorted({asked(template) for _, template in CLOSED} | {"/health/live", "/v1/session", "/nothing"}):
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"upgrade", b"websocket")],
            "subprotocols": [],
        }
        await app(scope, receive, send)
        assert [one["type"] for one in sent] == ["websocket.close"], path


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "/%0d%0aSet-Cookie:a=b", "/\r\nX: y", "/\x00"],
)
async def test_nothing_of_a_request_becomes_a_header(app: FastAPI, target: str) -> None:
    for path in ("/v1/session/sign-in", "/v1/session/callback"):
        answer = await ask(app, "GET", f"{path}?return={quote(target)}&state={quote(target)}", [])
        assert "evil" not in answer.headers.get("location", "")
        assert "set-cookie" not in answer.headers
    for path in (f"/v1/songs/{quote(target, safe='')}/", f"/v1/users/{quote(target, safe='')}/library/"):
        no_answer(await ask(app, "GET", path, []), path)
