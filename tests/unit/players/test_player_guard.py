"""Who may do what by the token of a player: every operation of players, with every kind of token."""

import base64
from datetime import UTC, datetime

import msgspec
import pytest
from fastapi import FastAPI

from songline.api.guard_settings import AUTH
from songline.api.limit_settings import REQUESTS
from songline.api.operations import OPERATIONS, SubjectRule
from songline.identity.scopes import Scope
from songline.players.tokens.player_token import PLAYER_SCOPES, new_token
from songline.players.tokens.token_lookup import PlayerTokenLookup
from tests.support.asgi import Answer, ask
from tests.support.guarded import BAD, GUARDED, IN, USER, Headers, allowed, asked, composed
from tests.unit.players.test_token_lookup import Kept

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
OF_PLAYERS = {key: operation for key, operation in OPERATIONS.items() if operation.is_of_players}
CLOSED = {key: operation for key, operation in OF_PLAYERS.items() if not operation.is_open}
MADE = new_token(USER, "phone", PLAYER_SCOPES, NOON, lambda size: bytes(size))
"""A good token of the listener."""
WEAK = new_token(USER, "weak", (Scope.SONGS_WRITE,), NOON, lambda size: b"w" * size)
"""One that allows nothing of what players ask for here."""


@pytest.fixture(scope="module")
def store() -> Kept:
    return Kept(MADE.token, WEAK.token)


@pytest.fixture(scope="module")
def app(store: Kept) -> FastAPI:
    app = composed({})
    app.state.tokens_of_players = PlayerTokenLookup(store)
    return app


def shown(text: str, scheme: str = "Token") -> Headers:
    return [("Authorization", f"{scheme} {text}")]


def basic(user: str, text: str) -> Headers:
    return shown(base64.b64encode(f"{user}:{text}".encode()).decode(), "Basic")


def error_in(answer: Answer) -> tuple[int, str]:
    said = msgspec.json.decode(answer.body)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    return said["code"], said["error"]


def test_there_are_operations_of_players() -> None:
    assert len(OF_PLAYERS) >= 7
    assert not OF_PLAYERS.keys() & GUARDED.keys()


@pytest.mark.parametrize(
    "headers",
    [
        shown(MADE.text),
        shown(MADE.text.upper(), "token"),
        shown(MADE.text, "Bearer"),
        basic(USER, MADE.text),
    ],
)
async def test_a_players_token_is_taken_in_every_form(app: FastAPI, headers: Headers) -> None:
    for method, template in OF_PLAYERS:
        assert (await ask(app, method, asked(template), headers)).status == IN, template


async def test_no_other_token_is_taken(app: FastAPI) -> None:
    other = "1f0c8a52-6b1e-4c0f-9d6a-3c1d5e0b7a94"
    refused = {
        **{name: make() for name, make in BAD.items()},
        "nothing": [],
        "the issuer's": allowed(),
        "one that was never made": shown(other),
        "twice": shown(MADE.text) * 2,
        "another's name beside it": basic("user-8", MADE.text),
        "no pair": shown("%%%", "Basic"),
        "the scheme alone": shown(""),
        "its id": shown(MADE.token.id),
    }
    for method, template in CLOSED:
        for name, headers in refused.items():
            answer = await ask(app, method, asked(template), headers)
            assert error_in(answer)[0] == answer.status == 401, (template, name)
            assert answer.headers["www-authenticate"].startswith("Token")


async def test_a_token_is_for_its_own_listener_and_its_scopes(app: FastAPI) -> None:
    for (method, template), operation in CLOSED.items():
        weak = error_in(await ask(app, method, asked(template), shown(WEAK.text)))
        assert weak[0] == 403
        assert str(operation.scopes[0]) in weak[1]
        if operation.subject is SubjectRule.PATH:
            assert error_in(await ask(app, method, asked(template, "user-8"), shown(MADE.text)))[0] == 403


async def test_a_players_token_is_good_for_nothing_else(app: FastAPI) -> None:
    for method, template in GUARDED:
        assert (await ask(app, method, asked(template), shown(MADE.text, "Bearer"))).status == 401, template


async def test_while_the_store_is_away_unknown_tokens_get_503(app: FastAPI, store: Kept) -> None:
    store.is_away = True
    try:
        answer = await ask(
            app, "GET", asked("/1/user/{user_id}/listens"), shown("00000000-0000-4000-8000-000000000009")
        )
    finally:
        store.is_away = False
    assert error_in(answer)[0] == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_what_is_not_below_1_keeps_its_form(app: FastAPI) -> None:
    answer = await ask(app, "GET", "/v1/users/user-7/library", [])
    assert answer.headers["content-type"] == "application/problem+json"


async def test_players_need_a_token_also_where_nobody_else_does(store: Kept) -> None:
    app = composed({AUTH: "off"})
    app.state.tokens_of_players = PlayerTokenLookup(store)
    for method, template in CLOSED:
        assert error_in(await ask(app, method, asked(template), []))[0] == 401, template
        assert (await ask(app, method, asked(template), shown(MADE.text))).status == IN, template


async def test_guesses_are_counted_and_limited() -> None:
    app = composed({REQUESTS: "0.5"})
    app.state.tokens_of_players = PlayerTokenLookup(Kept())
    statuses = []
    for _ in range(6):
        answer = await ask(app, "POST", "/1/submit-listens", shown(MADE.text))
        assert error_in(answer)[0] == answer.status
        assert int(answer.headers["x-ratelimit-reset-in"]) >= 0
        statuses.append(answer.status)
    assert statuses[0] == 401
    assert statuses[-1] == 429
