"""Signs browsers in and out, and says whose session a request is of."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence

import httpx
from msgspec import Struct, structs

from songline.api.session.cookies import CookieTooLargeError
from songline.api.session.ended_session_file import EndedSessionFile
from songline.api.session.issuer_client import GrantRefusedError, IssuerAwayError, IssuerClient
from songline.api.session.sealing import Sealer
from songline.api.session.session_renewals import SessionRenewals
from songline.api.session.settings import PageSettings
from songline.api.session.sign_in import (
    SIGN_IN_S,
    SignInFailure,
    authorization_address,
    begin,
    open_pending,
    read_callback,
)
from songline.api.session.sign_outs import SignOuts
from songline.api.session.token_grants import UnfitTokensError, check_nonce, read_grant
from songline.api.session.user_session import SESSION_S, UserSession, open_session, renewal_s
from songline.identity.caller import Caller
from songline.identity.scopes import Scope

logger = logging.getLogger(__name__)

SIGN_IN_COOKIE = "songline-sign-in"
SESSION_COOKIE = "songline"


class BegunSignIn(Struct, frozen=True):
    """Where a browser goes to sign in, with the headers Set-Cookie that it gets."""

    address: str
    cookies: Sequence[str]


class CompletedSignIn(Struct, frozen=True):
    """Where a browser goes that has signed in, with the headers Set-Cookie that it gets."""

    return_to: str
    cookies: Sequence[str]


class SessionService:
    """Sessions of the page's client. `http` belongs to the caller; `now_s` is the clock (unix seconds)."""

    def __init__(
        self,
        settings: PageSettings,
        http: httpx.AsyncClient,
        now_s: Callable[[], float],
        random: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self.settings = settings
        self.sessions = settings.jar(SESSION_COOKIE)
        self.sign_ins = settings.jar(SIGN_IN_COOKIE)
        self._sealer = Sealer(settings.keys)
        self._issuer = IssuerClient(settings, http, now_s)
        file = None if settings.ended is None else EndedSessionFile(settings.ended, self._sealer)
        self._sign_outs = SignOuts(self._issuer.revoke, now_s, file)
        self._renewals = SessionRenewals(self._renewed, now_s, self._sign_outs.ended)
        self._now_s = now_s
        self._random = random

    async def begin(self, return_to: str | None) -> BegunSignIn:
        """Raises IssuerAwayError."""
        endpoint = (await self._issuer.metadata()).authorization_endpoint
        if endpoint is None:
            raise IssuerAwayError(f"{self.settings.verifying.issuer} names no authorization_endpoint")
        pending = begin(return_to, self._random, self._now_s())
        settings = self.settings
        address = authorization_address(endpoint, settings.client_id, settings.redirect_uri, settings.scopes, pending)
        return BegunSignIn(address, self.sign_ins.set(pending.sealed(self._sealer), SIGN_IN_S))

    async def complete(
        self, answer: Sequence[tuple[str, str]], cookies: Mapping[str, str]
    ) -> CompletedSignIn | SignInFailure:
        """What the issuer's `answer` makes of the sign-in that the browser has begun."""
        try:
            return await self._completed(answer, cookies)
        except IssuerAwayError as error:
            logger.warning("nobody can sign in: %s", error)
            return SignInFailure.ISSUER_AWAY
        except GrantRefusedError as error:
            if error.code != "invalid_grant":
                logger.warning("the issuer refuses the page's client: %s", error)
                return SignInFailure.REFUSED
            return SignInFailure.CODE_REFUSED
        except UnfitTokensError as error:
            logger.warning("nobody can sign in: %s", error)
            return SignInFailure.UNFIT_TOKENS
        except CookieTooLargeError as error:
            logger.warning("a session has %s: the issuer's tokens are too large for cookies", error)
            return SignInFailure.TOO_LARGE

    async def current(self, cookies: Mapping[str, str]) -> tuple[UserSession | None, Sequence[str]]:
        """The session of a request, None for a visitor's, with the headers Set-Cookie that the answer is to have."""
        text = self.sessions.read(cookies)
        if text is None:
            return None, ()
        session = open_session(self._sealer, text, self._now_s())
        if session is None:
            return None, self.sessions.clear()
        try:
            found = await self._renewals.current(session)
            if found is None:
                return None, self.sessions.clear()
            return found, () if found == session else self._set(found)
        except IssuerAwayError as error:
            # The browser is signed in again when the issuer is back.
            logger.warning("a session can't be renewed: %s", error)
        except CookieTooLargeError as error:
            logger.warning("a session has %s: the issuer's tokens are too large for cookies", error)
        return None, ()

    async def end(self, session: UserSession | None) -> Sequence[str]:
        """Sign out: the headers Set-Cookie that the answer is to have."""
        if session is not None:
            await self._sign_outs.end(session)
        return self.sessions.clear()

    def start(self) -> None:
        """Begin what runs in the background."""
        self._sign_outs.start()

    @property
    def untold_sign_outs(self) -> int:
        """How many sessions have ended here, of which the issuer was not told yet."""
        return len(self._sign_outs.ended.untold(self._now_s()))

    async def close(self) -> None:
        """End what runs in the background."""
        await self._renewals.close()
        await self._sign_outs.close()

    def _set(self, session: UserSession) -> Sequence[str]:
        return self.sessions.set(session.sealed(self._sealer), int(session.ends_s - self._now_s()))

    async def _completed(
        self, answer: Sequence[tuple[str, str]], cookies: Mapping[str, str]
    ) -> CompletedSignIn | SignInFailure:
        verifying, now_s = self.settings.verifying, self._now_s()
        pending = open_pending(self._sealer, self.sign_ins.read(cookies))
        names_issuer = (await self._issuer.metadata()).authorization_response_iss_parameter_supported
        code = read_callback(answer, pending, verifying.issuer, names_issuer=names_issuer, now_s=now_s)
        if isinstance(code, SignInFailure):
            return code
        assert pending is not None
        tokens = await self._issuer.redeem(code, pending.verifier)
        check_nonce(tokens, verifying.issuer, self.settings.client_id, pending.nonce, now_s)
        grant = read_grant(tokens, verifying, now_s)
        session = UserSession(
            session_id=self._random(),
            subject=grant.caller.subject,
            scopes=_own_scopes(grant.caller),
            csrf=self._random(),
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_s=grant.expires_s,
            ends_s=now_s + SESSION_S,
            renew_s=renewal_s(now_s, grant.expires_s),
        )
        return CompletedSignIn(pending.return_to, [*self.sign_ins.clear(), *self._set(session)])

    async def _renewed(self, session: UserSession, refresh_token: str) -> UserSession | None:
        try:
            tokens = await self._issuer.renew(refresh_token)
            now_s = self._now_s()
            grant = read_grant(tokens, self.settings.verifying, now_s)
        except GrantRefusedError as error:
            if error.code != "invalid_grant":
                # It refuses the page's client, or what answers is not the issuer: the session is as good as before.
                raise IssuerAwayError(f"the issuer refuses the page's client: {error}") from error
            logger.info("a session ends: %s", error)
            return None
        except UnfitTokensError as error:
            logger.info("a session ends: %s", error)
            return None
        if grant.caller.subject != session.subject:
            logger.warning("a session ends: its new access token is about somebody else")
            return None
        return structs.replace(
            session,
            scopes=_own_scopes(grant.caller),
            access_token=tokens.access_token,
            # An issuer may leave the old one good (RFC 6749, section 6).
            refresh_token=tokens.refresh_token or refresh_token,
            expires_s=grant.expires_s,
            renew_s=renewal_s(now_s, grant.expires_s),
        )


def _own_scopes(caller: Caller) -> tuple[str, ...]:
    """What the caller may do here. Other scopes, such as `openid`, are the issuer's own matter."""
    return tuple(sorted(caller.scopes.intersection(Scope)))
