"""Renews sessions: once for all requests that a browser sends at a time, and never one that has ended."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container

from songline.api.session.issuer_client import IssuerAwayError
from songline.api.session.user_session import UserSession

MAX_KNOWN = 10_000
AWAY_S = 5
"""An issuer that was away is asked again after so long."""

Renew = Callable[[UserSession, str], Awaitable[UserSession | None]]


class SessionRenewals:
    """Renews sessions by `renew`, of a session and its refresh token: None where the issuer refuses.

    A refresh token is good once. Requests that are under way have the one before, and an answer with the new cookie may
    get lost: the last renewals are remembered. `ended` has the ids of those that were signed out.
    """

    def __init__(self, renew: Renew, now_s: Callable[[], float], ended: Container[str] = ()) -> None:
        """`renew` raises IssuerAwayError."""
        self._renew = renew
        self._now_s = now_s
        self._ended = ended
        self._running: dict[str, asyncio.Task[UserSession | None]] = {}
        self._renewed = OrderedDict[str, UserSession | None]()
        self._away_until_s = 0.0

    async def current(self, session: UserSession) -> UserSession | None:
        """The session with an access token that is good; None where it has ended.

        Raises IssuerAwayError where nobody can say that.
        """
        found: UserSession | None = session
        while (
            found is not None and found.is_due(self._now_s()) and (known := found.refresh_token or "") in self._renewed
        ):
            after = self._renewed[known]
            if after is not None and after.refresh_token == known and after.expires_s <= found.expires_s:
                # The issuer leaves the refresh token as it is, and this is its last renewal.
                break
            found = after
        if found is not None and found.is_due(self._now_s()):
            found = await self._renewal(found)
        # It may have ended meanwhile.
        return None if session.session_id in self._ended else found

    async def close(self) -> None:
        """End what runs in the background."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _renewal(self, session: UserSession) -> UserSession | None:
        is_good = self._now_s() < session.expires_s
        if session.refresh_token is None:
            return session if is_good else None
        try:
            return await self._renewed_once(session, session.refresh_token)
        except IssuerAwayError:
            if is_good:
                return session
            raise

    async def _renewed_once(self, session: UserSession, refresh_token: str) -> UserSession | None:
        task = self._running.get(refresh_token)
        if task is None:
            if self._now_s() < self._away_until_s:
                raise IssuerAwayError("the issuer was away a moment ago")
            task = self._running[refresh_token] = asyncio.create_task(self._run(session, refresh_token))
        # The renewal goes on when a request that waits for it is given up.
        await asyncio.wait([task])
        return task.result()

    async def _run(self, session: UserSession, refresh_token: str) -> UserSession | None:
        try:
            found = await self._renew(session, refresh_token)
        except IssuerAwayError:
            self._away_until_s = self._now_s() + AWAY_S
            raise
        finally:
            del self._running[refresh_token]
        self._renewed[refresh_token] = found
        while len(self._renewed) > MAX_KNOWN:
            self._renewed.popitem(last=False)
        return found
