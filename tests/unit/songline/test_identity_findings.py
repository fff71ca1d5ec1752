"""What the doctor makes of tokens and their issuer, and what the API says of its keys."""

import asyncio

import httpx
import pytest
from msgspec import structs

from songline.api.app import ApiSettings, compose
from songline.api.guard_settings import AUTH
from songline.doctor.identity import CHECK, IdentityFacts, identity_findings
from songline.identity.key_cache import BETWEEN_S, KEPT_S
from songline.identity.settings import ISSUER
from songline.identity.verifier import TokenVerifier
from songline.schemas.identity_health import IdentityHealth
from tests.support import tokens
from tests.support.guarded import ENVIRON, allowed, client, composed

ON = IdentityHealth(auth="on", issuer=tokens.ISSUER, keys_age_seconds=5.0, keys_usable=True)
WELL = IdentityFacts(ON, issuer=tokens.ISSUER, keys=2)


def statuses(facts: IdentityFacts | None) -> dict[str, str]:
    found = list(identity_findings(facts))
    assert all(one.mend for one in found if one.status != "ok")
    return {one.check: one.status for one in found}


def seen(facts: IdentityFacts) -> str:
    return " ".join(f"{one.seen} {one.mend}" for one in identity_findings(facts))


def test_what_is_well_is_said() -> None:
    assert statuses(WELL) == {CHECK: "ok"}
    assert f"{tokens.ISSUER}, 2 keys" in seen(WELL)
    # A terminal without the setting, beside an API that has it.
    assert statuses(IdentityFacts(ON)) == {CHECK: "ok"}
    assert statuses(None) == {}


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (IdentityFacts(IdentityHealth(auth="off")), "warn", "reads and writes all"),
        (IdentityFacts(is_off=True), "warn", f"{AUTH} is off"),
        (IdentityFacts(), "fail", f"{ISSUER} is not set, and the API does not start"),
        (structs.replace(WELL, problem="ConnectError"), "fail", "ConnectError"),
        (structs.replace(WELL, issuer="https://other.example"), "warn", f"believes {tokens.ISSUER}"),
    ],
)
def test_what_is_missing_is_named(facts: IdentityFacts, status: str, words: str) -> None:
    assert statuses(facts) == {CHECK: status}
    assert words in seen(facts)


def test_keys_that_are_old_are_told() -> None:
    old = structs.replace(ON, keys_age_seconds=7_200.0, keys_failed=True)
    assert statuses(structs.replace(WELL, api=old)) == {CHECK: "ok", "keys of tokens": "warn"}
    assert "120 minutes old" in seen(structs.replace(WELL, api=old))
    too_old = structs.replace(old, keys_age_seconds=90_000.0, keys_usable=False)
    assert statuses(structs.replace(WELL, api=too_old)) == {CHECK: "ok", "keys of tokens": "fail"}
    never = IdentityHealth(auth="on", issuer=tokens.ISSUER, keys_failed=True)
    assert "never read" in seen(structs.replace(WELL, api=never))


async def test_the_api_says_how_old_its_keys_are() -> None:
    app = composed({}, is_answered=False)
    now_s, is_away = tokens.NOW_S, False

    def issuer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500 if is_away else 200, content=tokens.key_set())

    settings = ApiSettings.read(ENVIRON)
    assert settings.guard is not None
    transport = httpx.MockTransport(issuer)
    verifier = app.state.verifier = TokenVerifier(
        settings.guard.verifier, httpx.AsyncClient(transport=transport), lambda: now_s
    )
    async with client(app) as http:

        async def told() -> dict[str, object]:
            answer = await http.get("/health/identity")
            assert answer.status_code == 200, answer.text
            found: dict[str, object] = answer.json()
            return found

        assert await told() == {"auth": "on", "issuer": tokens.ISSUER}
        assert (await http.get("/v1/charts", headers=allowed())).status_code == 200
        now_s += 7
        assert await told() == {
            "auth": "on",
            "issuer": tokens.ISSUER,
            "keysAgeSeconds": 7.0,
            "keysUsable": True,
        }
        is_away, now_s = True, now_s + KEPT_S + BETWEEN_S
        unknown = tokens.token(header={"kid": "new"})
        assert (await http.get("/v1/charts", headers={"Authorization": f"Bearer {unknown}"})).status_code == 503
        found = await told()
        assert (found["keysFailed"], "keysUsable" in found) == (True, False)
    await asyncio.wait_for(verifier.close(), 60)


async def test_an_api_without_tokens_says_so() -> None:
    app = compose(ApiSettings.read({**ENVIRON, ISSUER: "", AUTH: "off"}))
    async with client(app) as http:
        assert (await http.get("/health/identity")).json() == {"auth": "off"}
