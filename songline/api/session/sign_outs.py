"""Sign-outs: known here at once and after a restart, and told to the issuer as soon as it answers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from songline.api.session.ended_session_file import EndedSessionFile
from songline.api.session.ended_sessions import EndedSession, EndedSessions
from songline.api.session.issuer_client import GrantRefusedError, IssuerAwayError
from songline.api.session.user_session import UserSession

logger = logging.getLogger(__name__)

RETRY_S = 5.0
MAX_RETRY_S = 300.0

Revoke = Callable[[str], Awaitable[bool]]
"""Ends a refresh token, and says whether the issuer knows how to. Raises IssuerAwayError and GrantRefusedError."""


class SignOuts:
    """The sessions that were signed out. `file` is None where there is no folder for it: a restart knows none then."""

    def __init__(self, revoke: Revoke, now_s: Callable[[], float], file: EndedSessionFile | None) -> None:
        self._revoke, self._now_s, self._file = revoke, now_s, file
        self.ended = EndedSessions(self._read())
        self._writing = asyncio.Lock()
        self._retrying: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell the issuer, in the background, what an earlier process could not tell it."""
        if self.ended.untold(self._now_s()) and (self._retrying is None or self._retrying.done()):
            self._retrying = asyncio.create_task(self._retry())

    async def end(self, session: UserSession) -> None:
        """The session is over, for copies of its cookie too."""
        ended = self.ended.add(session, self._now_s())
        await self._keep(ended)
        if ended.refresh_token is not None and not await self._is_told(ended, ended.refresh_token):
            self.start()

    async def close(self) -> None:
        """End what runs in the background."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait([self._retrying])

    async def _retry(self) -> None:
        pause_s = RETRY_S
        while waiting := self.ended.untold(self._now_s()):
            await asyncio.sleep(pause_s)
            for one in waiting:
                if not await self._is_told(one, one.refresh_token or ""):
                    pause_s = min(2 * pause_s, MAX_RETRY_S)
                    break
            else:
                pause_s = RETRY_S

    async def _is_told(self, ended: EndedSession, refresh_token: str) -> bool:
        """Whether the issuer need not be asked again."""
        is_revoked = False
        try:
            is_revoked = await self._revoke(refresh_token)
        except IssuerAwayError as error:
            logger.warning("a session has ended here, and its refresh token is not revoked yet: %s", error)
            return False
        except GrantRefusedError as error:
            # Its cookie is good for nothing here all the same.
            logger.warning("a session has ended here, and its refresh token is not revoked: %s", error)
        await self._keep(self.ended.told(ended, is_revoked=is_revoked))
        return True

    def _read(self) -> list[EndedSession]:
        try:
            return [] if self._file is None else self._file.read(self._now_s())
        except OSError as error:
            logger.warning("copies of cookies that were signed out before are not known: %s", error)
            return []

    async def _keep(self, ended: EndedSession) -> None:
        file = self._file
        if file is None:
            return
        try:
            async with self._writing:
                await asyncio.to_thread(file.append, ended)
                if file.is_wordy(0):
                    self.ended.drop_old(self._now_s())
                if file.is_wordy(len(self.ended)):
                    await asyncio.to_thread(file.write, self.ended.all())
        except OSError as error:
            logger.warning("a session that was signed out is forgotten by the next restart: %s", error)
