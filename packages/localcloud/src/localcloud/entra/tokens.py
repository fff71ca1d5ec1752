"""Makes tokens of managed identities, and checks those that services are shown.

The claims are those of an app-only token, version 1.0. Source: "Access token claims reference" (Microsoft Learn).
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from localcloud.entra.audiences import AudienceCheck
from localcloud.entra.identities import TENANT, ManagedIdentity, by_principal
from localcloud.entra.roles import AssignedRole
from localcloud.identity.key_ring import SigningKey
from localcloud.sas import CredentialError, ExpiredTokenError, MalformedTokenError, OutOfScopeError, WrongSignatureError

ISSUER: Final = f"https://sts.windows.net/{TENANT}/"
"""Of tokens of version 1.0. Azurite takes no other: see `VALID_ISSUE_PREFIXES` there."""

MAX_BYTES: Final = 16_384
KNOWN_MAX: Final = 1_000
SKEW_S: Final = 300.0
"""By how much a clock may be behind: a token that is good from later on is taken. Ends are taken to the second."""


class TokenPrincipal(NamedTuple):
    """Whom a token is about: an identity's principal id, with its roles of now, until `expires_s` (Unix seconds)."""

    principal_id: str
    roles: tuple[AssignedRole, ...]
    expires_s: float


class EntraTokens:
    """The tokens of `identities`. `key` gives the key that signs now, `public` all keys as a JWK set."""

    def __init__(
        self,
        identities: Mapping[str, ManagedIdentity],
        key: Callable[[float], SigningKey],
        public: Callable[[float], dict[str, Any]],
        token_s: int,
    ) -> None:
        self._identities = by_principal(identities)
        self._key = key
        self._public = public
        self._token_s = token_s
        self._known: dict[bytes, dict[str, Any]] = {}

    def issue(self, identity: ManagedIdentity, resource: str, now_s: float) -> tuple[str, int]:
        """A token of `identity` for `resource`, and its end in Unix seconds. Raises OSError."""
        from localcloud.identity.token_claims import signed

        begins_s = int(now_s)
        claims = {
            "aud": resource,
            "iss": ISSUER,
            "iat": begins_s,
            "nbf": begins_s,
            "exp": begins_s + self._token_s,
            "appid": identity.client_id,
            "appidacr": "2",
            "idp": ISSUER,
            "idtyp": "app",
            "oid": identity.principal_id,
            "sub": identity.principal_id,
            "tid": TENANT,
            "ver": "1.0",
        }
        return signed(claims, "JWT", self._key(now_s)), begins_s + self._token_s

    def check(self, token: str, is_audience: AudienceCheck, now_s: float) -> TokenPrincipal:
        """Whom `token` is about, if it is one of ours, still good, and for an audience that `is_audience` takes.

        Raises one of the kinds of CredentialError.
        """
        claims = self._claims(token, now_s)
        expires_s = float(claims["exp"])
        if expires_s <= now_s:
            raise ExpiredTokenError(f"the token expired {now_s - expires_s:.0f} s ago")
        if claims["nbf"] > now_s + SKEW_S:
            raise ExpiredTokenError(f"the token is good from {claims['nbf'] - now_s:.0f} s from now on")
        if not is_audience(claims["aud"]):
            raise OutOfScopeError(f"the token is for {claims['aud'][:100]!r}, which is another service's")
        identity = self._identities.get(claims["oid"])
        return TokenPrincipal(claims["oid"], identity.roles if identity else (), expires_s)

    def _claims(self, token: str, now_s: float) -> dict[str, Any]:
        """The claims of a token that we have signed. Raises CredentialError."""
        if len(token) > MAX_BYTES or token.count(".") != 2:
            raise MalformedTokenError(f"a token of Entra is a JWT, this of {len(token)} characters is none")
        name = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(name)
        if known is None:
            known = self._verified(token, now_s)
            if len(self._known) >= KNOWN_MAX:
                del self._known[next(iter(self._known))]
            self._known[name] = known
        return known

    def _verified(self, token: str, now_s: float) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        try:
            keys = KeySet.import_key_set(self._public(now_s))  # type: ignore[arg-type] # a plain dict does
            claims = jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise WrongSignatureError(f"the token was not signed by this issuer: {type(error).__name__}") from None
        texts = all(isinstance(claims.get(name), str) for name in ("aud", "oid"))
        times = all(isinstance(claims.get(name), int) for name in ("exp", "nbf"))
        if claims.get("iss") != ISSUER or not texts or not times:
            raise CredentialError("the token is not one of a managed identity")
        return claims
