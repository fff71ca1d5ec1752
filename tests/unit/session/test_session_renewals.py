"""Renewals of sessions, against an issuer whose refresh tokens are good once."""

import asyncio
from itertools import count

import pytest

from songline.api.session.ended_sessions import EndedSessions
from songline.api.session.issuer_client import IssuerAwayError
from songline.api.session.session_renewals import AWAY_S, SessionRenewals
from songline.api.session.user_session import RENEW_BEFORE_S, UserSession

TOKEN_S = 600.0


class OnceIssuer:
    """Gives each refresh token's next one, once; a second use ends everything."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.is_away = False
        self.is_revoked = False
        self.asked = 0
        self.is_reached = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self._used: set[str] = set()
        self._numbers = count(1)

    async def renew(self, session: UserSession, refresh_token: str) -> UserSession | None:
        self.asked += 1
        self.is_reached.set()
        await self.goes_on.wait()
        if self.is_away:
            raise IssuerAwayError("away")
        self.is_revoked = self.is_revoked or refresh_token in self._used
        self._used.add(refresh_token)
        return None if self.is_revoked else made(next(self._numbers), self.now_s + TOKEN_S)


def made(number: int, expires_s: float, refresh_token: str | None = "") -> UserSession:
    token = f"refresh-{number}" if refresh_token == "" else refresh_token
    return UserSession("one", "user-7", (), "csrf", f"access-{number}", token, expires_s, 1e9)


@pytest.fixture
def issuer() -> OnceIssuer:
    return OnceIssuer()


@pytest.fixture
def renewals(issuer: OnceIssuer) -> SessionRenewals:
    return SessionRenewals(issuer.renew, lambda: issuer.now_s)


FIRST = made(0, TOKEN_S)


async def test_a_token_that_is_good_is_left_alone(issuer: OnceIssuer, renewals: SessionRenewals) -> None:
    issuer.now_s = TOKEN_S - RENEW_BEFORE_S - 1
    assert await renewals.current(FIRST) == FIRST
    assert issuer.asked == 0


async def test_requests_at_a_time_share_one_renewal(issuer: OnceIssuer, renewals: SessionRenewals) -> None:
    issuer.now_s = TOKEN_S - RENEW_BEFORE_S
    issuer.goes_on.clear()
    waiting = [asyncio.create_task(renewals.current(FIRST)) for _ in range(5)]
    await issuer.is_reached.wait()
    # One that is given up takes it from nobody.
    waiting.pop().cancel()
    issuer.goes_on.set()
    assert {found.access_token for found in await asyncio.gather(*waiting) if found} == {"access-1"}
    assert issuer.asked == 1


async def test_an_old_cookie_leads_to_the_newest_session(issuer: OnceIssuer, renewals: SessionRenewals) -> None:
    found: UserSession | None = FIRST
    for _ in range(3):
        assert found is not None
        issuer.now_s = found.expires_s
        found = await renewals.current(found)
    assert issuer.asked == 3
    assert await renewals.current(FIRST) == found
    assert (issuer.asked, issuer.is_revoked) == (3, False)


async def test_a_refusal_ends_it_for_every_cookie(issuer: OnceIssuer, renewals: SessionRenewals) -> None:
    issuer.now_s, issuer.is_revoked = TOKEN_S, True
    assert [await renewals.current(FIRST) for _ in range(2)] == [None, None]
    assert issuer.asked == 1


async def test_without_a_refresh_token_it_ends_with_its_access_token(
    issuer: OnceIssuer, renewals: SessionRenewals
) -> None:
    session = made(0, TOKEN_S, None)
    issuer.now_s = TOKEN_S - 1
    assert await renewals.current(session) == session
    issuer.now_s = TOKEN_S
    assert await renewals.current(session) is None
    assert issuer.asked == 0


async def test_an_issuer_that_is_away_is_asked_again_after_a_while(
    issuer: OnceIssuer, renewals: SessionRenewals
) -> None:
    issuer.now_s, issuer.is_away = TOKEN_S - 1, True
    assert [await renewals.current(FIRST) for _ in range(3)] == [FIRST] * 3
    issuer.now_s = TOKEN_S
    with pytest.raises(IssuerAwayError):
        await renewals.current(FIRST)
    assert issuer.asked == 1
    issuer.is_away = False
    issuer.now_s = TOKEN_S + AWAY_S
    found = await renewals.current(FIRST)
    assert found is not None
    assert found.access_token == "access-1"


async def test_a_session_that_has_ended_stays_so(issuer: OnceIssuer) -> None:
    issuer.now_s = TOKEN_S
    issuer.goes_on.clear()
    ended = EndedSessions()
    renewals = SessionRenewals(issuer.renew, lambda: issuer.now_s, ended)
    waiting = asyncio.create_task(renewals.current(FIRST))
    await issuer.is_reached.wait()
    ended.add(FIRST, issuer.now_s)
    issuer.goes_on.set()
    assert await waiting is None
    issuer.now_s = 0.0
    assert await renewals.current(FIRST) is None


async def test_a_refresh_token_that_stays_the_same_renews_again_and_again() -> None:
    """As of an issuer that names no new one (RFC 6749, section 6)."""
    now_s, numbers = 0.0, count(1)

    async def renew(session: UserSession, refresh_token: str) -> UserSession | None:
        return made(next(numbers), now_s + TOKEN_S, refresh_token)

    renewals = SessionRenewals(renew, lambda: now_s)
    for number in range(1, 4):
        now_s += TOKEN_S
        found = await asyncio.wait_for(renewals.current(FIRST), 60)
        assert found is not None
        assert (found.access_token, found.expires_s) == (f"access-{number}", now_s + TOKEN_S)
        assert await renewals.current(found) == found


async def test_closing_ends_what_is_under_way(issuer: OnceIssuer, renewals: SessionRenewals) -> None:
    issuer.now_s = TOKEN_S
    issuer.goes_on.clear()
    waiting = asyncio.create_task(renewals.current(FIRST))
    await issuer.is_reached.wait()
    await renewals.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
