"""The claims of access tokens (RFC 9068) and of ID tokens (OpenID Connect Core), and their signing."""

from typing import Any

import msgspec

from localcloud.identity.key_ring import SigningKey
from localcloud.identity.signing_keys import imported

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - a name
ID_TOKEN_TYPE = "JWT"  # noqa: S105 - a name


class TokenSubject(msgspec.Struct, frozen=True):
    """Whom a token is about, and for whom it is: a user or, by client credentials, the client itself."""

    subject: str
    client_id: str
    audience: str
    scopes: tuple[str, ...]


def access_claims(issuer: str, about: TokenSubject, token_id: str, now_s: float, token_s: int) -> dict[str, Any]:
    """The claims of an access token that is good for `token_s` seconds from now on."""
    return {
        "iss": issuer,
        "sub": about.subject,
        "aud": about.audience,
        "client_id": about.client_id,
        "scope": " ".join(about.scopes),
        **_times(now_s, token_s),
        "jti": token_id,
    }


def identity_claims(
    issuer: str, about: TokenSubject, nonce: str | None, signed_in_s: float, now_s: float, token_s: int
) -> dict[str, Any]:
    """The claims of an ID token: its audience is the client, so no API takes it for an access token."""
    return {
        "iss": issuer,
        "sub": about.subject,
        "aud": about.client_id,
        "preferred_username": about.subject,
        **({} if nonce is None else {"nonce": nonce}),
        "auth_time": int(signed_in_s),
        **_times(now_s, token_s),
    }


def signed(claims: dict[str, Any], kind: str, key: SigningKey) -> str:
    """The claims as a JWT whose header has `kind` as its `typ`."""
    from joserfc import jwt

    header = {"alg": key.algorithm, "kid": key.kid, "typ": kind}
    return jwt.encode(header, claims, imported(key), algorithms=[key.algorithm])


def _times(now_s: float, token_s: int) -> dict[str, int]:
    return {"iat": int(now_s), "nbf": int(now_s), "exp": int(now_s) + token_s}
