"""Sign-in of the page by authorization code, over localcloud's issuer: cookies in, bearer tokens out."""

import asyncio
import base64
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from msgspec import structs

from songline.api.session.sealing import KEY_BYTES
from songline.api.session.session_renewals import AWAY_S
from songline.api.session.session_routes import routes
from songline.api.session.settings import PageSettings
from songline.api.session.user_session import RENEW_BEFORE_S, SESSION_S
from songline.cloud.settings import Secret
from songline.identity.caller import RefusalReason
from songline.identity.scopes import OWN_SCOPES, Scope
from tests.support.localcloud import LocalCloud
from tests.support.page_session import (
    API,
    SESSION,
    SIGN_IN,
    TOKEN_S,
    Browser,
    Clock,
    PageApi,
    SwitchedTransport,
    bearer,
)


async def test_a_visitor_signs_in_acts_and_signs_out(browser: Browser) -> None:
    visitor = await browser.session()
    assert visitor == {"signIn": True, "subject": None, "scopes": [], "open": ["page"], "csrf": None}
    assert await bearer(browser) == ""
    done = await browser.sign_in("user-7", "/#/songs")
    assert (done.status_code, done.headers["location"]) == (303, "/#/songs")
    assert SIGN_IN not in browser.cookies
    found = await browser.session()
    assert (found["subject"], found["scopes"]) == ("user-7", sorted(OWN_SCOPES))
    assert (await bearer(browser)).startswith("Bearer ey")
    # The cookie is sealed: neither the user nor the token can be read from it.
    token = (await bearer(browser)).removeprefix("Bearer ")
    sealed = browser.cookies[SESSION]
    readable = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert not [part for part in ("user-7", *token.split(".")) if part.encode() in readable or part in sealed]

    out = await browser.send("POST", "/v1/session/sign-out", headers={"X-CSRF-Token": found["csrf"]})
    assert (out.status_code, browser.cookies.keys() & {SESSION, SIGN_IN}) == (204, set())
    assert await browser.session() == visitor


async def test_the_operator_may_more(browser: Browser) -> None:
    await browser.sign_in("operator")
    assert set((await browser.session())["scopes"]) == {*OWN_SCOPES, Scope.ADMIN, Scope.LIBRARY_READ_ANY}


async def test_a_write_needs_the_page_s_own_token(browser: Browser) -> None:
    await browser.sign_in()
    csrf = (await browser.session())["csrf"]
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf[:-1]}, {"X-CSRF-Token": f"{csrf}x"}):
        for path in ("/v1/echo", "/v1/session/sign-out"):
            refused = await browser.send("POST", path, headers=headers)
            assert refused.status_code == 403, path
            assert "X-CSRF-Token" in refused.json()["detail"]
    assert (await browser.send("POST", "/v1/echo", headers={"X-CSRF-Token": csrf})).json()["subject"] == "user-7"
    assert (await browser.session())["subject"] == "user-7"


async def test_a_bearer_token_wins_over_the_cookie(browser: Browser) -> None:
    await browser.sign_in()
    answer = await browser.send("POST", "/v1/echo", headers={"Authorization": "Bearer of-another"})
    assert answer.json() == {"authorization": ["Bearer of-another"], "subject": None}


async def test_paths_that_are_the_same_for_everybody_get_no_token(browser: Browser) -> None:
    await browser.sign_in()
    assert (await browser.get("/assets/style.css")).json() == []


async def test_a_callback_is_good_once(browser: Browser, api: PageApi, cloud: LocalCloud) -> None:
    await browser.trust()
    callback = await browser.choose(await browser.to_issuer(), "user-7")
    pending = dict(browser.cookies)
    assert (await browser.get(callback)).status_code == 303
    # In the browser that has signed in, as by its history.
    again = await browser.get(callback)
    assert (again.status_code, again.headers["location"]) == (303, "/")
    # By who has the whole request: the code is used, and what it gave has ended.
    thief = Browser(api.app, cloud)
    thief.cookies = pending
    stolen = await thief.get(callback)
    await thief.close()
    assert stolen.status_code == 400
    assert "used before" in stolen.text
    assert SESSION not in thief.cookies


async def test_the_answer_to_another_browser_signs_nobody_in(
    browser: Browser, api: PageApi, cloud: LocalCloud, stack: AsyncExitStack
) -> None:
    """A page that sends a visitor to somebody else's callback would have them act as somebody else."""
    await browser.trust()
    callback = await browser.choose(await browser.to_issuer(), "user-7")
    other = Browser(api.app, cloud)
    stack.push_async_callback(other.close)
    unbegun = await other.get(callback)
    assert (unbegun.status_code, SESSION in other.cookies) == (400, False)
    assert "text/html" in unbegun.headers["content-type"]
    assert "/v1/session/sign-in" in unbegun.text
    await other.to_issuer()
    foreign = await other.get(callback)
    assert (foreign.status_code, SESSION in other.cookies) == (400, False)
    # What the other browser had begun is not ended by that.
    assert SIGN_IN in other.cookies


async def test_a_session_of_a_visitor_s_own_making_is_none(browser: Browser, api: PageApi, cloud: LocalCloud) -> None:
    """A cookie that was there before the sign-in is not the one after it, and does not outlive it."""
    await browser.sign_in("user-7")
    first, csrf = browser.cookies[SESSION], (await browser.session())["csrf"]
    await browser.sign_in("me")
    assert browser.cookies[SESSION] != first
    found = await browser.session()
    assert found["subject"] == "me"
    assert found["csrf"] != csrf


@pytest.mark.parametrize("change", ["cut", "flipped", "nonsense", "other-purpose"])
async def test_a_tampered_cookie_is_a_visitor_s(browser: Browser, change: str) -> None:
    await browser.sign_in()
    await browser.to_issuer()
    good = browser.cookies[SESSION]
    browser.cookies[SESSION] = {
        "cut": good[:-8],
        "flipped": f"{'A' if good[0] != 'A' else 'B'}{good[1:]}",
        "nonsense": "nonsense",
        "other-purpose": browser.cookies[SIGN_IN],
    }[change]
    answer = await browser.send("POST", "/v1/echo")
    assert answer.json() == {"authorization": [], "subject": None}
    assert SESSION not in browser.cookies


async def test_a_key_is_followed_by_another_one(
    browser: Browser, settings: PageSettings, http: httpx.AsyncClient, clock: Clock, cloud: LocalCloud
) -> None:
    await browser.sign_in()
    new = b"n" * KEY_BYTES
    subjects = []
    for keys in ((new, *settings.keys), (new,)):
        other = Browser(PageApi(structs.replace(settings, keys=keys), http, clock.now_s).app, cloud)
        other.cookies = dict(browser.cookies)
        subjects.append((await other.session())["subject"])
        assert (SESSION in other.cookies) == (subjects[-1] is not None)
        await other.close()
    assert subjects == ["user-7", None]


async def test_an_access_token_is_renewed_once_for_all_requests(browser: Browser, clock: Clock) -> None:
    await browser.sign_in()
    before, first = browser.cookies[SESSION], await bearer(browser)
    clock.ahead_s = TOKEN_S - RENEW_BEFORE_S + 1
    together = await asyncio.gather(*(browser.get("/v1/echo") for _ in range(5)))
    tokens = {answer.json()["authorization"][0] for answer in together}
    assert len(tokens) == 1
    assert first not in tokens
    assert {answer.headers["cache-control"] for answer in together} == {"no-store"}
    assert browser.cookies[SESSION] != before
    # The answers with the new cookie got lost: the issuer would end the sign-in if the refresh token came twice.
    browser.cookies[SESSION] = before
    assert await bearer(browser) != first
    assert (await browser.session())["subject"] == "user-7"


async def test_a_session_ends_by_itself(browser: Browser, clock: Clock) -> None:
    await browser.sign_in()
    clock.ahead_s = SESSION_S + 1
    assert (await browser.session())["subject"] is None
    assert SESSION not in browser.cookies


async def test_signing_out_ends_copies_of_the_cookie_too(
    browser: Browser, clock: Clock, settings: PageSettings, http: httpx.AsyncClient, cloud: LocalCloud
) -> None:
    await browser.sign_in()
    copy, csrf = dict(browser.cookies), (await browser.session())["csrf"]
    await browser.send("POST", "/v1/session/sign-out", headers={"X-CSRF-Token": csrf})
    browser.cookies = dict(copy)
    assert (await browser.session())["subject"] is None
    # Another process of the API does not know it; the refresh token is revoked.
    clock.ahead_s = TOKEN_S
    other = Browser(PageApi(settings, http, clock.now_s).app, cloud)
    other.cookies = dict(copy)
    assert (await other.session())["subject"] is None
    await other.close()


async def test_a_token_that_the_api_takes_no_more_is_a_visitor_s(browser: Browser, api: PageApi) -> None:
    await browser.sign_in()
    api.refused[(await bearer(browser)).removeprefix("Bearer ")] = RefusalReason.AUDIENCE
    answer = await browser.get("/v1/echo")
    assert answer.json() == {"authorization": [], "subject": None}
    assert SESSION not in browser.cookies


async def test_an_issuer_that_is_away_signs_nobody_out(
    settings: PageSettings, cloud: LocalCloud, clock: Clock, stack: AsyncExitStack
) -> None:
    link = SwitchedTransport(trust_env=False)
    http = await stack.enter_async_context(httpx.AsyncClient(transport=link, timeout=60))
    api = PageApi(settings, http, clock.now_s)
    stack.push_async_callback(api.service.close)
    browser = Browser(api.app, cloud)
    stack.push_async_callback(browser.close)
    link.is_cut = True
    begun = await browser.get("/v1/session/sign-in")
    assert (begun.status_code, begun.headers["retry-after"]) == (503, "5")
    assert "Nobody can sign in now" in begun.text
    link.is_cut = False
    await browser.trust()
    callback = await browser.choose(await browser.to_issuer(), "user-7")
    link.is_cut = True
    assert (await browser.get(callback)).status_code == 503
    link.is_cut = False
    # The code is good yet.
    assert (await browser.get(callback)).status_code == 303

    link.is_cut = True
    clock.ahead_s = TOKEN_S - RENEW_BEFORE_S + 1
    assert (await browser.session())["subject"] == "user-7"
    clock.ahead_s = TOKEN_S + 1
    assert (await browser.session())["subject"] is None
    assert SESSION in browser.cookies
    link.is_cut = False
    clock.ahead_s += AWAY_S + 1
    found = await browser.session()
    assert found["subject"] == "user-7"
    # It ends here at once, also where its issuer can't be told.
    link.is_cut, clock.ahead_s = True, 0.0
    out = await browser.send("POST", "/v1/session/sign-out", headers={"X-CSRF-Token": found["csrf"]})
    assert (out.status_code, SESSION in browser.cookies) == (204, False)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"client_id": "nobody"}, 400, "client_id"),
        ({"secret": Secret("wrong")}, 502, "refuses to sign anybody in"),
        ({"verifying": "another-audience"}, 502, "not for this API"),
    ],
)
async def test_what_is_set_up_wrongly_is_a_page(
    settings: PageSettings,
    http: httpx.AsyncClient,
    clock: Clock,
    cloud: LocalCloud,
    stack: AsyncExitStack,
    changes: dict[str, Any],
    status: int,
    words: str,
) -> None:
    if "verifying" in changes:
        changes = {"verifying": structs.replace(settings.verifying, audience=changes["verifying"])}
    browser = Browser(PageApi(structs.replace(settings, **changes), http, clock.now_s).app, cloud)
    stack.push_async_callback(browser.close)
    await browser.trust()
    address = await browser.to_issuer()
    shown = await browser.get(address)
    answer = shown if status == 400 else await browser.get(await browser.choose(address, "user-7"))
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert SESSION not in browser.cookies


async def test_tokens_that_fit_into_no_cookie_are_said_on_a_page(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the sign-in, and not for the tokens that it gives."""
    monkeypatch.setattr("songline.api.session.cookies.PART_CHARACTERS", 150)
    done = await browser.sign_in()
    assert (done.status_code, SESSION in browser.cookies) == (502, False)
    assert "too large" in done.text


async def test_a_session_may_need_several_cookies(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("songline.api.session.cookies.PART_CHARACTERS", 700)
    assert (await browser.sign_in()).status_code == 303
    assert f"{SESSION}-1" in browser.cookies
    found = await browser.session()
    assert found["subject"] == "user-7"
    # One that is missing makes all of them nothing.
    del browser.cookies[f"{SESSION}-1"]
    assert (await browser.session())["subject"] is None
    assert not [name for name in browser.cookies if name.startswith(SESSION)]


async def test_who_cancels_is_told_so(browser: Browser, cloud: LocalCloud) -> None:
    asked = urlsplit(await browser.to_issuer())
    back = await browser.send("POST", f"{cloud.issuer}/sign-in?{asked.query}", data={"cancel": "1"})
    done = await browser.get(back.headers["location"])
    assert (done.status_code, SIGN_IN in browser.cookies) == (200, False)
    assert "You are not signed in" in done.text


async def test_another_name_of_this_machine_leads_to_the_one_that_comes_back(
    api: PageApi, cloud: LocalCloud, stack: AsyncExitStack
) -> None:
    browser = Browser(api.app, cloud, "http://localhost:8000")
    stack.push_async_callback(browser.close)
    sent = await browser.get("/v1/session/sign-in", params={"return": "/#/songs?q=a"})
    assert sent.headers["location"] == f"{API}/v1/session/sign-in?return=/%23/songs%3Fq%3Da"
    other = await browser.get("/v1/session/sign-in", headers={"Host": "evil.example:8000"})
    assert other.headers["location"].startswith(f"{cloud.issuer}/authorize?")


async def test_an_api_without_a_client_signs_nobody_in() -> None:
    app = FastAPI()
    app.state.page_sessions = None
    routes(app, None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=API) as client:
        found = (await client.get("/v1/session")).json()
        assert found == {"signIn": False, "subject": None, "scopes": list(Scope), "open": [], "csrf": None}
        for path in ("sign-in", "callback"):
            answer = await client.get(f"/v1/session/{path}")
            assert (answer.status_code, "text/html" in answer.headers["content-type"]) == (404, True)
        assert (await client.post("/v1/session/sign-out")).status_code == 204
