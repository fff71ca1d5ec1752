"""Authorization codes: each is good for a minute, once, for the client that asked, with its proof (PKCE)."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable

import msgspec

from localcloud.identity.errors import OAuthError

CODE_S = 60
# A second use is known for so long: as long as what the first one gave could be noticed to be stolen.
REMEMBERED_S = 600
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class AuthorizationGrant(msgspec.Struct, frozen=True):
    """What a user granted a client. `challenge` is the S256 code challenge; `family` marks the refresh tokens of it."""

    client_id: str
    redirect_uri: str
    subject: str
    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    granted_s: float
    family: str


class UsedCodeError(OAuthError):
    """A code came a second time: what the first use gave, the family's tokens, must end (RFC 6749, section 4.1.2)."""

    def __init__(self, family: str) -> None:
        super().__init__("invalid_grant", "the code was used before; expected a new one")
        self.family = family


class AuthorizationCodes:
    """The codes that are out, in memory: they are over sooner than a restart would matter."""

    def __init__(self, new_code: Callable[[], str]) -> None:
        self._new_code = new_code
        self._grants: dict[str, AuthorizationGrant] = {}
        self._used: set[str] = set()

    def issue(self, grant: AuthorizationGrant) -> str:
        for code, there in list(self._grants.items()):
            if grant.granted_s - there.granted_s > REMEMBERED_S:
                del self._grants[code]
                self._used.discard(code)
        code = self._new_code()
        self._grants[code] = grant
        return code

    def redeem(self, code: str, client_id: str, redirect_uri: str, verifier: str, now_s: float) -> AuthorizationGrant:
        """What the code stands for; it is used by that, also where the proof is wrong.

        Raises OAuthError, `invalid_grant`; UsedCodeError for a second use.
        """
        grant = self._grants.get(code)
        if grant is None or grant.client_id != client_id:
            raise OAuthError("invalid_grant", "the code is not one that this client was given, or long over")
        if code in self._used:
            raise UsedCodeError(grant.family)
        self._used.add(code)
        if now_s - grant.granted_s > CODE_S:
            raise OAuthError("invalid_grant", f"the code is over: it was good for {CODE_S} s")
        if redirect_uri != grant.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the authorization request")
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge_of(verifier), grant.challenge):
            raise OAuthError("invalid_grant", "code_verifier does not fit the code_challenge")
        return grant


def is_challenge(text: str) -> bool:
    """Whether it has the form of an S256 challenge: 32 bytes in base64url."""
    return _CHALLENGE.fullmatch(text) is not None


def challenge_of(verifier: str) -> str:
    """The S256 code challenge (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
