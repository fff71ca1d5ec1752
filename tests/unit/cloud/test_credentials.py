"""The credential of a process: tokens that are fetched before they end, over connections that nobody has to close."""

import logging
from types import TracebackType

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from hypothesis import given
from hypothesis import strategies as st

from songline.cloud.credentials import EARLY_S, RETRY_S, EntraCredential, entra, failed_renewals, fresh_until

SCOPE = "https://eventhubs.azure.net//.default"


class Tenant:
    """Gives numbered tokens that are good for `lifetime_s`, or none."""

    def __init__(self, lifetime_s: float = 60.0) -> None:
        self.now_s = 1_000.0
        self.lifetime_s = lifetime_s
        self.given: list[tuple[str, ...]] = []
        self.is_away = False
        self.open = 0

    def credential(self) -> EntraCredential:
        return EntraCredential(lambda: Fetching(self), lambda: self.now_s)


class Fetching:
    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def __aenter__(self) -> "Fetching":
        self._tenant.open += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tenant.open -= 1

    async def get_token(self, *scopes: str) -> AccessToken:
        if self._tenant.is_away:
            raise ClientAuthenticationError("away")
        self._tenant.given.append(scopes)
        return AccessToken(str(len(self._tenant.given)), int(self._tenant.now_s + self._tenant.lifetime_s))


async def test_a_token_is_fetched_once_and_again_before_it_ends() -> None:
    tenant = Tenant(60.0)
    credential = tenant.credential()
    seen = []
    for _ in range(61):
        token = await credential.get_token(SCOPE)
        assert token.expires_on > tenant.now_s
        seen.append(token.token)
        tenant.now_s += 1
    assert seen == ["1"] * 45 + ["2"] * 16
    assert tenant.open == 0


async def test_each_resource_has_its_own() -> None:
    tenant = Tenant()
    credential = tenant.credential()
    tokens = [(await credential.get_token(scope)).token for scope in (SCOPE, "https://a/.default", SCOPE)]
    assert tokens == ["1", "2", "1"]
    assert tenant.given == [(SCOPE,), ("https://a/.default",)]


async def test_a_token_that_is_good_stays_while_none_can_be_had() -> None:
    tenant = Tenant(60.0)
    credential = tenant.credential()
    await credential.get_token(SCOPE)
    tenant.is_away = True
    tenant.now_s += 50
    assert (await credential.get_token(SCOPE)).token == "1"
    tenant.now_s += 10
    with pytest.raises(ClientAuthenticationError):
        await credential.get_token(SCOPE)
    tenant.is_away = False
    assert (await credential.get_token(SCOPE)).token == "2"


async def test_a_fetch_that_failed_is_tried_again_soon() -> None:
    tenant = Tenant(3_600.0)
    credential = tenant.credential()
    await credential.get_token(SCOPE)
    tenant.now_s += 3_400
    tenant.is_away = True
    await credential.get_token(SCOPE)
    tenant.is_away = False
    assert (await credential.get_token(SCOPE)).token == "1"
    tenant.now_s += RETRY_S
    assert (await credential.get_token(SCOPE)).token == "2"


async def test_a_renewal_that_fails_is_logged_and_told_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tenant = Tenant(3_600.0)
    credential = tenant.credential()
    await credential.get_token(SCOPE)
    tenant.now_s += 3_400
    assert credential.failed_renewals() == []
    tenant.is_away = True
    await credential.get_token(SCOPE)
    (failed,) = credential.failed_renewals()
    assert (failed.scopes, failed.tried_s, failed.ends_s) == ((SCOPE,), 4_400.0, 4_600.0)
    sentence = f"the token for {SCOPE} can't be renewed and ends at 1970-01-01T01:16:40+00:00: "
    assert failed.sentence == f"{sentence}ClientAuthenticationError: away"
    assert caplog.messages == [f"{failed.sentence}; it is asked for again in 10 s"]
    await credential.get_token(SCOPE)
    assert len(caplog.messages) == 1, "nothing was tried"
    tenant.now_s += RETRY_S
    tenant.is_away = False
    await credential.get_token(SCOPE)
    assert credential.failed_renewals() == []
    assert caplog.messages[1:] == [f"the token for {SCOPE} is renewed"]


async def test_a_token_that_has_ended_is_told_while_it_is_asked_for() -> None:
    tenant = Tenant(60.0)
    credential = tenant.credential()
    await credential.get_token(SCOPE)
    tenant.is_away = True
    tenant.now_s += 61
    with pytest.raises(ClientAuthenticationError):
        await credential.get_token(SCOPE)
    assert [one.scopes for one in credential.failed_renewals()] == [(SCOPE,)]
    tenant.now_s += EARLY_S + 1
    assert credential.failed_renewals() == [], "nobody has asked for it for a while"


async def test_a_token_that_never_was_is_the_callers_to_tell() -> None:
    tenant = Tenant()
    tenant.is_away = True
    credential = tenant.credential()
    with pytest.raises(ClientAuthenticationError):
        await credential.get_token(SCOPE)
    assert credential.failed_renewals() == []


async def test_newer_sdks_ask_for_the_same_token() -> None:
    tenant = Tenant()
    async with tenant.credential() as credential:
        info = await credential.get_token_info(SCOPE, options={"enable_cae": True})
        assert (info.token, info.expires_on) == ("1", 1_060)
        assert (await credential.get_token(SCOPE, enable_cae=True)).token == "1"
    assert len(tenant.given) == 1


@given(st.floats(0, 1e10), st.floats(0.001, 1e7))
def test_a_token_is_fresh_for_most_of_its_time(now_s: float, lifetime_s: float) -> None:
    until_s = fresh_until(now_s, now_s + lifetime_s)
    assert now_s <= until_s <= now_s + lifetime_s
    assert until_s >= now_s + lifetime_s - EARLY_S - 1e-5


def test_a_process_has_one_and_none_where_nobody_asks() -> None:
    entra.cache_clear()
    assert failed_renewals() == []
    assert entra.cache_info().currsize == 0
    assert entra() is entra()
    assert failed_renewals() == []
