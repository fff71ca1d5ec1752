"""What is refused counts too, once: against its caller where that is known, else against the address."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
import pytest
from fastapi import FastAPI

from songline.api.limit_settings import REQUESTS
from songline.api.request_account import RequestAccounts
from songline.api.session.sealing import KEY_BYTES, Sealer
from songline.players.opensubsonic.call import OpenSubsonicState
from songline.players.tokens.player_token import PLAYER_SCOPES, NewToken, new_token, sealed_for_salt
from songline.players.tokens.token_lookup import PlayerTokenLookup
from tests.support.asgi import Answer, ask
from tests.support.guarded import BAD, GUARDED, Headers, allowed, asked, composed
from tests.support.known_callers import Clock
from tests.unit.players.test_subsonic_server import SONG, FixedCollection, salted
from tests.unit.players.test_token_lookup import Kept

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
BURST = 4
LOW = {REQUESTS: "2", "SONGLINE_ORIGINS": "https://player.example"}
PAGE = ("Origin", "https://player.example")
LEFT = "ratelimit-remaining"
SEALER = Sealer((bytes(KEY_BYTES),))


def made(user: str, letter: str) -> NewToken:
    return new_token(user, "phone", PLAYER_SCOPES, NOON, lambda size: letter.encode() * size)


ADA, BO, OLD = made("ada", "a"), made("bo", "b"), made("ada", "o")


def limited(settings: Mapping[str, str] = LOW, *, is_answered: bool = True) -> FastAPI:
    """The whole API on a clock that stands."""
    app = composed(settings, is_answered=is_answered)
    (accounts,) = {id(one): one for layer in app.user_middleware if (one := layer.kwargs.get("accounts"))}.values()
    assert isinstance(accounts, RequestAccounts)
    accounts.steady = Clock()
    return app


async def statuses(
    app: FastAPI, target: str, headers: Headers, method: str = "GET", count: int = BURST + 2
) -> list[int]:
    return [(await ask(app, method, target, headers)).status for _ in range(count)]


async def test_every_refusal_tells_what_its_caller_has_left() -> None:
    app = limited({REQUESTS: "100000"})
    for method, template in GUARDED:
        for headers in (BAD["expired"](), [], allowed("user-8", "openid"), allowed("user-8", "library:read")):
            answer = await ask(app, method, asked(template), headers)
            if answer.status in (401, 403):
                assert LEFT in answer.headers, (template, answer.status)
    for target, headers in (
        ("/v1/charts", [("Host", "songline.example")]),
        ("/v1/events", [("Origin", "https://other.example"), *allowed()]),
    ):
        answer = await ask(app, "POST", target, headers)
        assert answer.status >= 400
        assert LEFT in answer.headers, target


@pytest.mark.parametrize("target", ["/v1/parked", "/v1/users/user-8/library"])
async def test_a_caller_who_may_not_counts_as_one_who_may(target: str) -> None:
    app, ana, ben = limited(), allowed("ana", "library:read"), allowed("ben", "library:read")
    assert await statuses(app, target, ana) == [403] * BURST + [429] * 2
    # It is a bucket of their own, and no other.
    assert (await ask(app, "GET", target, ben)).status == 403
    assert (await ask(app, "GET", target, [])).status == 401


@pytest.mark.parametrize("target", ["/v1/parked", "/health/refusals", "/1/user/ada/listens"])
async def test_an_address_that_is_refused_too_often_is_told_when_to_ask_again(target: str) -> None:
    app = limited()
    app.state.tokens_of_players = PlayerTokenLookup(Kept(ADA.token))
    bad = [PAGE, ("Authorization", "Token x")] if target.startswith("/1/") else [PAGE, *BAD["expired"]()]
    assert await statuses(app, target, bad) == [401] * BURST + [429] * 2
    refused = await ask(app, "GET", target, [PAGE])
    assert (refused.status, refused.headers["retry-after"], refused.headers[LEFT]) == (429, "1", "0")
    # A page of another origin may read it, as any other answer.
    assert refused.headers["access-control-allow-origin"] == PAGE[1]
    assert "www-authenticate" not in refused.headers
    # Good tokens from there go on.
    assert (await ask(app, "GET", "/v1/charts", allowed())).status < 400


async def test_preflights_and_health_are_not_counted() -> None:
    app = limited()
    preflight = [PAGE, ("Access-Control-Request-Method", "PUT")]
    assert await statuses(app, "/v1/users/user-7/likes/song-1", preflight, "OPTIONS") == [200] * (BURST + 2)
    assert 429 not in await statuses(app, "/health/live", [])
    assert (await ask(app, "GET", "/v1/parked", [])).headers[LEFT] == str(BURST - 1)


class PlayerApi:
    """The API as players reach it, from one address."""

    def __init__(self) -> None:
        self.store = Kept(ADA.token, BO.token, sealed_for_salt(OLD, SEALER))
        self.app = limited(is_answered=False)
        self.app.state.tokens_of_players = PlayerTokenLookup(self.store, SEALER)
        self.app.state.opensubsonic = OpenSubsonicState(FixedCollection(SONG))

    async def ask(self, shown: str, name: str = "ping") -> Answer:
        return await ask(self.app, "GET", f"/rest/{name}?f=json&{shown}", [])

    async def status(self, shown: str, name: str = "ping") -> tuple[int, str]:
        """The status of HTTP, and that of the protocol."""
        answer = await self.ask(shown, name)
        return answer.status, msgspec.json.decode(answer.body)["subsonic-response"]["status"]


async def test_a_player_counts_as_its_listener() -> None:
    api = PlayerApi()
    key, digest = f"apiKey={ADA.text}", "&".join(f"{name}={value}" for name, value in salted(OLD).items())
    for left, shown in zip((3, 2, 1, 0), (key, digest, key, digest), strict=True):
        answer = await api.ask(shown)
        assert answer.headers[LEFT] == str(left)
    for shown in (key, digest):
        assert await api.status(shown) == (429, "failed")
    assert (await api.ask(key)).headers["retry-after"] == "1"
    # Another listener of the same house goes on.
    assert await api.status(f"apiKey={BO.text}") == (200, "ok")


async def test_what_opensubsonic_refuses_counts_against_the_address() -> None:
    """Its answers have the status 200."""
    for shown in ("", "u=ada&p=x", "apiKey=x", "u=ada", "u=ada&t=0&s=1&apiKey=x"):
        api = PlayerApi()
        assert [await api.status(shown) for _ in range(BURST)] == [(200, "failed")] * BURST
        assert (await api.ask(shown)).status == 429
        # So does what is open to everybody.
        assert (await api.ask(shown, "getOpenSubsonicExtensions")).status == 429
        # A token that is known goes on, and has the bucket of its listener.
    api = PlayerApi()
    assert await api.status(f"apiKey={ADA.text}") == (200, "ok")
    assert [(await api.ask("apiKey=x")).status for _ in range(BURST + 1)][-1] == 429
    assert await api.status(f"apiKey={ADA.text}") == (200, "ok")


GUESS = "00000000-0000-4000-8000-{:012d}"


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (f"/rest/ping?f=json&apiKey={GUESS}", ""),
        ("/rest/ping?f=json&u=eve-{}&t=00000000000000000000000000000000&s=1", ""),
        ("/1/user/ada/listens", f"Token {GUESS}"),
        ("/1/validate-token", f"Token {GUESS}"),
        (f"/1/validate-token?token={GUESS}", ""),
    ],
)
async def test_guesses_of_an_address_cost_the_store_no_more_than_its_bucket(target: str, header: str) -> None:
    api = PlayerApi()
    for number in range(3 * BURST):
        headers = [("Authorization", header.format(number))] if header else []
        answer = await ask(api.app, "GET", target.format(number), headers)
        assert (answer.status == 429) == (number >= BURST), number
    assert api.store.reads <= BURST
