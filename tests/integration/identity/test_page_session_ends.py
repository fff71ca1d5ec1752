"""How sessions of the page go on and end: short tokens, new keys, and sign-outs that the issuer is told later."""

from contextlib import AsyncExitStack

import httpx
import pytest
from msgspec import structs

from songline.api.session import sign_outs
from songline.api.session.settings import PageSettings
from songline.identity.caller import RefusalReason
from tests.support.localcloud import LocalCloud
from tests.support.page_session import SESSION, TOKEN_S, Browser, Clock, PageApi, SwitchedTransport, bearer
from tests.support.waiting import wait_for_async


async def test_a_key_that_signs_since_a_moment_ago_ends_no_session(browser: Browser, api: PageApi) -> None:
    await browser.sign_in()
    token = (await bearer(browser)).removeprefix("Bearer ")
    api.refused[token] = RefusalReason.UNKNOWN_KEY
    assert (await browser.get("/v1/echo")).json() == {"authorization": [], "subject": None}
    assert SESSION in browser.cookies
    # A few seconds later the API knows the key.
    del api.refused[token]
    assert (await browser.session())["subject"] == "user-7"


async def test_a_token_of_half_a_minute_is_not_renewed_at_every_request(
    settings: PageSettings, http: httpx.AsyncClient, clock: Clock, browser: Browser, api: PageApi
) -> None:
    await browser.sign_in()
    before = await bearer(browser)
    # A token that is as good for half a minute.
    clock.ahead_s = TOKEN_S - 30
    first = await bearer(browser)
    assert first != before
    assert [await bearer(browser) for _ in range(5)] == [first] * 5


async def test_a_copy_of_a_cookie_that_was_signed_out_while_the_issuer_was_away_is_no_session(
    settings: PageSettings, cloud: LocalCloud, clock: Clock, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_outs, "RETRY_S", 0.05)
    link = SwitchedTransport(trust_env=False)
    http = await stack.enter_async_context(httpx.AsyncClient(transport=link, timeout=60))
    api = PageApi(settings, http, clock.now_s)
    browser = Browser(api.app, cloud)
    stack.push_async_callback(browser.close)
    await browser.sign_in()
    csrf, copy = (await browser.session())["csrf"], dict(browser.cookies)
    link.is_cut = True
    await browser.send("POST", "/v1/session/sign-out", headers={"X-CSRF-Token": csrf})
    await api.service.close()
    # A restart, before the issuer could be told.
    again = PageApi(settings, http, clock.now_s)
    stack.push_async_callback(again.service.close)
    thief = Browser(again.app, cloud)
    stack.push_async_callback(thief.close)
    thief.cookies = dict(copy)
    assert (await thief.session())["subject"] is None
    link.is_cut = False
    again.service.start()
    # Another process, which does not have the file, knows it as soon as the refresh token is revoked.
    alone = Browser(PageApi(structs.replace(settings, ended=None), http, clock.now_s).app, cloud)
    stack.push_async_callback(alone.close)
    await wait_for_async(lambda: is_told(again), "the issuer to be told")
    clock.ahead_s = TOKEN_S
    alone.cookies = dict(copy)
    assert (await alone.session())["subject"] is None


async def is_told(api: PageApi) -> bool:
    return not api.service.untold_sign_outs
