"""The way to the issuer's keys: how often, and what happens while it is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from songline.identity import verifier as verifier_module
from songline.identity.caller import Caller, CallerRefusal, RefusalReason
from songline.identity.key_cache import BETWEEN_S, FRESH_S, KEPT_S
from songline.identity.settings import VerifierSettings
from songline.identity.token_check import LEEWAY_S, check_token
from songline.identity.verifier import TokenVerifier
from tests.support.tokens import ISSUER, NOW_S, SETTINGS, key_set, other_ec_key, token
from tests.support.waiting import wait_for_async

DOCUMENT = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
BEARER = f"Bearer {token('ES256', exp=int(NOW_S) + 10 * KEPT_S)}"
UNKNOWN = f"Bearer {token('ES256', header={'kid': 'new'})}"


class RemoteIssuer:
    """Answers as an issuer elsewhere would, and counts. `answer` makes the answer to a request for keys.

    `renewed` is set at the fourth request: keys are read by two.
    """

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.asked: list[str] = []
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, content=key_set())
        self.document: object = DOCUMENT
        self.renewed = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path.rpartition("/")[2])
        if len(self.asked) == 4:
            self.renewed.set()
        await self.gate.wait()
        if request.url.path.endswith("/openid-configuration"):
            return httpx.Response(200, json=self.document)
        return self.answer()

    async def is_asked(self) -> bool:
        return bool(self.asked)

    def verifier(self, http: httpx.AsyncClient, settings: VerifierSettings = SETTINGS) -> TokenVerifier:
        return TokenVerifier(settings, http, lambda: self.now_s)


@pytest.fixture
async def issuer() -> RemoteIssuer:
    return RemoteIssuer()


@pytest.fixture
async def http(issuer: RemoteIssuer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(issuer.handle)) as client:
        yield client


@pytest.fixture
async def verifier(issuer: RemoteIssuer, http: httpx.AsyncClient) -> AsyncIterator[TokenVerifier]:
    verifier = issuer.verifier(http)
    yield verifier
    await verifier.close()


async def reason(verifier: TokenVerifier, header: str | None) -> RefusalReason | None:
    found = await verifier.verify(header)
    return found.reason if isinstance(found, CallerRefusal) else None


async def test_keys_are_asked_for_once(issuer: RemoteIssuer, verifier: TokenVerifier) -> None:
    found = await asyncio.gather(*(verifier.verify(BEARER) for _ in range(50)))
    assert {type(one) for one in found} == {Caller}
    assert issuer.asked == ["openid-configuration", "keys"]


async def test_what_is_no_token_asks_nobody(issuer: RemoteIssuer, verifier: TokenVerifier) -> None:
    for header in (None, "", "Basic x", "Bearer x", f"Bearer {'x' * 20_000}"):
        assert await reason(verifier, header)
    assert issuer.asked == []


async def test_an_address_of_keys_needs_no_discovery(issuer: RemoteIssuer, http: httpx.AsyncClient) -> None:
    verifier = issuer.verifier(http, VerifierSettings(ISSUER, "songline", "https://keys.example/jwks"))
    assert isinstance(await verifier.verify(BEARER), Caller)
    assert issuer.asked == ["jwks"]


async def test_a_key_that_is_new_is_found_and_strangers_do_not_flood_the_issuer(
    issuer: RemoteIssuer, verifier: TokenVerifier
) -> None:
    assert await reason(verifier, BEARER) is None
    issuer.now_s += BETWEEN_S
    asked = len(issuer.asked)
    for _ in range(100):
        assert await reason(verifier, UNKNOWN) is RefusalReason.UNKNOWN_KEY
    assert len(issuer.asked) == asked + 2
    renamed = key_set().replace(b'"ec"', b'"new"')
    issuer.answer = lambda: httpx.Response(200, content=renamed)
    issuer.now_s += BETWEEN_S
    assert await reason(verifier, UNKNOWN) is None
    # A key that the issuer withdrew is not believed any more.
    assert await reason(verifier, BEARER) is RefusalReason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(404),
        httpx.Response(302, headers={"location": "https://evil.example/keys"}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, content=b'{"keys": []}'),
        httpx.Response(200, content=b" " * 1_000_001),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
    ],
    ids=str,
)
async def test_an_issuer_that_is_away_locks_nobody_out_for_a_day(
    issuer: RemoteIssuer, http: httpx.AsyncClient, answer: httpx.Response | httpx.HTTPError
) -> None:
    def away() -> httpx.Response:
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    working = issuer.answer
    verifier = issuer.verifier(http)
    issuer.answer = away
    assert await reason(verifier, BEARER) is RefusalReason.ISSUER_UNAVAILABLE
    asked = len(issuer.asked)
    assert await reason(verifier, BEARER) is RefusalReason.ISSUER_UNAVAILABLE
    assert len(issuer.asked) == asked
    issuer.now_s += BETWEEN_S
    issuer.answer = working
    assert await reason(verifier, BEARER) is None
    issuer.answer = away
    issuer.now_s += KEPT_S - 1
    assert await reason(verifier, BEARER) is None
    await verifier.close()
    # Whether that key is good nobody knows now: another token would not help.
    issuer.now_s += 0.5
    assert await reason(verifier, UNKNOWN) is RefusalReason.ISSUER_UNAVAILABLE
    issuer.now_s += BETWEEN_S
    assert await reason(verifier, BEARER) is RefusalReason.ISSUER_UNAVAILABLE


async def test_nobody_waits_for_keys_that_are_known(issuer: RemoteIssuer, verifier: TokenVerifier) -> None:
    assert await reason(verifier, BEARER) is None
    issuer.now_s += FRESH_S
    issuer.gate.clear()
    for _ in range(10):
        assert await asyncio.wait_for(reason(verifier, BEARER), 60) is None
    issuer.gate.set()
    await asyncio.wait_for(issuer.renewed.wait(), 60)
    assert issuer.asked == ["openid-configuration", "keys"] * 2


async def test_an_issuer_that_never_ends_its_answer_is_given_up(
    issuer: RemoteIssuer, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier_module, "ANSWER_S", 0.05)
    issuer.gate.clear()
    assert await asyncio.wait_for(reason(verifier, BEARER), 60) is RefusalReason.ISSUER_UNAVAILABLE
    monkeypatch.undo()
    issuer.gate.set()
    issuer.now_s += BETWEEN_S
    assert await reason(verifier, BEARER) is None


async def test_a_request_that_is_given_up_does_not_ask_the_issuer_again(
    issuer: RemoteIssuer, verifier: TokenVerifier
) -> None:
    issuer.gate.clear()
    for _ in range(5):
        waiting = asyncio.create_task(verifier.verify(BEARER))
        await wait_for_async(issuer.is_asked, "the issuer to be asked")
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    waiting = asyncio.create_task(verifier.verify(BEARER))
    issuer.gate.set()
    assert isinstance(await asyncio.wait_for(waiting, 60), Caller)
    assert issuer.asked == ["openid-configuration", "keys"]


@pytest.mark.parametrize(
    "document",
    [
        {**DOCUMENT, "issuer": "https://evil.example"},
        {**DOCUMENT, "issuer": ISSUER + "/"},
        {**DOCUMENT, "jwks_uri": "http://keys.example/keys"},
        {**DOCUMENT, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER},
        [],
    ],
)
async def test_the_document_of_another_issuer_names_no_keys(
    issuer: RemoteIssuer, verifier: TokenVerifier, document: object
) -> None:
    issuer.document = document
    assert await reason(verifier, BEARER) is RefusalReason.ISSUER_UNAVAILABLE
    assert issuer.asked == ["openid-configuration"]


async def test_a_good_token_is_checked_once_until_its_key_is_another(
    issuer: RemoteIssuer, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = 0

    def counted(*arguments: Any) -> Caller | CallerRefusal:
        nonlocal checks
        checks += 1
        return check_token(*arguments)

    monkeypatch.setattr(verifier_module, "check_token", counted)
    for _ in range(3):
        assert isinstance(await verifier.verify(BEARER), Caller)
    assert checks == 1
    assert isinstance(await verifier.verify(BEARER.replace("Bearer", "bearer ")), Caller)
    assert checks == 1
    for _ in range(2):
        assert await reason(verifier, f"Bearer {token('ES256', aud='another')}") is RefusalReason.AUDIENCE
    assert checks == 3, "what was refused is not remembered"
    # Tokens of invented keys have the keys read again, for all the good that it does to who sends them.
    for _ in range(3):
        issuer.now_s += BETWEEN_S
        asked = len(issuer.asked)
        assert await reason(verifier, UNKNOWN) is RefusalReason.UNKNOWN_KEY
        assert len(issuer.asked) == asked + 2
        assert isinstance(await verifier.verify(BEARER), Caller)
    assert checks == 3, "a key that is the same has not signed anything else"
    # Another key by the same id ends what the former one signed.
    issuer.answer = lambda: httpx.Response(200, content=key_set(without="ec", ec=other_ec_key()))
    issuer.now_s += BETWEEN_S
    assert await reason(verifier, UNKNOWN) is RefusalReason.UNKNOWN_KEY
    assert await reason(verifier, BEARER) is RefusalReason.SIGNATURE
    issuer.answer = lambda: httpx.Response(200, content=key_set())
    issuer.now_s += BETWEEN_S
    assert await reason(verifier, UNKNOWN) is RefusalReason.UNKNOWN_KEY
    assert await reason(verifier, BEARER) is None
    # A key that is withdrawn ends what it signed.
    issuer.answer = lambda: httpx.Response(200, content=key_set(without="ec"))
    issuer.now_s += FRESH_S
    await wait_for_async(lambda: is_refused(verifier), "the withdrawn key to be forgotten")


async def is_refused(verifier: TokenVerifier) -> bool:
    return await reason(verifier, BEARER) is RefusalReason.UNKNOWN_KEY


async def test_a_remembered_token_is_over_at_its_end(issuer: RemoteIssuer, verifier: TokenVerifier) -> None:
    short = f"Bearer {token('ES256', exp=int(NOW_S) + 60)}"
    assert isinstance(await verifier.verify(short), Caller)
    issuer.now_s += 60 + LEEWAY_S - 1
    assert isinstance(await verifier.verify(short), Caller)
    issuer.now_s += 1
    assert await reason(verifier, short) is RefusalReason.EXPIRED


async def test_a_remembered_token_is_of_no_use_while_nobody_knows_the_keys(
    issuer: RemoteIssuer, verifier: TokenVerifier
) -> None:
    assert isinstance(await verifier.verify(BEARER), Caller)
    issuer.answer = lambda: httpx.Response(500)
    issuer.now_s += KEPT_S
    assert await reason(verifier, BEARER) is RefusalReason.ISSUER_UNAVAILABLE
