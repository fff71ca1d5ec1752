"""The check of an access token, over values alone: header, signature, claims (RFC 7519, RFC 8725, RFC 9068)."""

import binascii
import re

import jwt
import msgspec
from msgspec import Struct

from songline.identity.caller import Caller, CallerRefusal, RefusalReason
from songline.identity.key_set import ALGORITHMS
from songline.identity.listener_id import listener_id
from songline.identity.settings import SUB, VerifierSettings
from songline.identity.token_part import decode_part
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

LEEWAY_S = 30
"""How far the issuer's clock may be from this one."""
MAX_TOKEN_CHARACTERS = 16_384
MAX_SUBJECT = 256

_TYPES = {None, "jwt", "at+jwt", "application/at+jwt"}
_PART = re.compile(r"[A-Za-z0-9_-]+")
_BEARER = re.compile(r"bearer +(?P<token>[^ ]+) *", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_jws = jwt.PyJWS(algorithms=list(ALGORITHMS.values()))


class TokenHeader(Struct, frozen=True):
    """The part of a token that says how it is signed."""

    alg: str
    kid: str
    typ: str | None = None


class _TokenHead(Struct):
    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: list[str] | None = None
    b64: bool = True


class _Claims(Struct):
    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    nbf: float | None = None
    scope: str | list[str] | None = None
    scp: str | list[str] | None = None
    roles: str | list[str] | None = None


_headers = Decoder(_TokenHead, "not-a-token")
_claims = Decoder(_Claims, "not-a-token")
_claims_by_name: Decoder[dict[str, msgspec.Raw]] = Decoder(dict[str, msgspec.Raw], "not-a-token")
_texts: Decoder[str] = Decoder(str, "not-a-token")


def read_bearer(authorization: str | None) -> str | CallerRefusal:
    """The token in an Authorization header (RFC 6750, section 2.1)."""
    if authorization is None:
        return CallerRefusal(RefusalReason.MISSING)
    match = _BEARER.fullmatch(authorization)
    if match is None:
        return CallerRefusal(RefusalReason.MALFORMED)
    return match["token"]


def read_header(token: str) -> TokenHeader | CallerRefusal:
    """The header of a token whose form, algorithm and type are allowed. Nothing that it says is trusted yet."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return CallerRefusal(RefusalReason.TOO_LONG)
    parts = token.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts[:2])):
        return CallerRefusal(RefusalReason.MALFORMED)
    try:
        found = _headers.decode(decode_part(parts[0]))
    except (PoisonError, binascii.Error):
        return CallerRefusal(RefusalReason.MALFORMED)
    # Before the signature is looked at, so that a token without one is told as what it is.
    if found.alg not in ALGORITHMS.values():
        return CallerRefusal(RefusalReason.ALGORITHM)
    if found.crit is not None or not found.b64:
        return CallerRefusal(RefusalReason.MALFORMED)
    if (None if found.typ is None else found.typ.lower()) not in _TYPES:
        return CallerRefusal(RefusalReason.TYPE)
    if not found.kid:
        return CallerRefusal(RefusalReason.UNKNOWN_KEY)
    return TokenHeader(found.alg, found.kid, found.typ)


def check_token(
    token: str, header: TokenHeader, key: jwt.PyJWK, settings: VerifierSettings, now_s: float
) -> Caller | CallerRefusal:
    """Who bears `token`, whose header names `key`, at `now_s` (unix seconds)."""
    # A key has one algorithm: a header that names another one would choose how it is used.
    if key.algorithm_name != header.alg:
        return CallerRefusal(RefusalReason.ALGORITHM)
    try:
        payload = _jws.decode(token, key, algorithms=[header.alg])
    except jwt.InvalidSignatureError:
        return CallerRefusal(RefusalReason.SIGNATURE)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return CallerRefusal(RefusalReason.MALFORMED)
    return check_claims(payload, settings, now_s)


def check_claims(payload: bytes, settings: VerifierSettings, now_s: float) -> Caller | CallerRefusal:
    """Who the claims are about, which somebody has signed whom the issuer's keys name."""
    try:
        claims = _claims.decode(payload)
    except PoisonError:
        return CallerRefusal(RefusalReason.CLAIMS)
    if claims.iss != settings.issuer:
        return CallerRefusal(RefusalReason.ISSUER)
    if settings.audience not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        return CallerRefusal(RefusalReason.AUDIENCE)
    if now_s >= claims.exp + LEEWAY_S:
        return CallerRefusal(RefusalReason.EXPIRED)
    if claims.nbf is not None and now_s < claims.nbf - LEEWAY_S:
        return CallerRefusal(RefusalReason.NOT_YET_VALID)
    subject = claims.sub if settings.subject_claim == SUB else _text(payload, settings.subject_claim)
    if subject is None or not 0 < len(subject) <= MAX_SUBJECT or _CONTROL.search(subject):
        return CallerRefusal(RefusalReason.CLAIMS)
    scopes = frozenset().union(*map(_names, (claims.scope, claims.scp, claims.roles)))
    return Caller(listener_id(subject), scopes, claims.exp)


def _text(payload: bytes, claim: str) -> str | None:
    """The text of a claim; None where there is none: `sub` in its place would be somebody else's id."""
    try:
        found = _claims_by_name.decode(payload).get(claim)
        return None if found is None else _texts.decode(bytes(found))
    except PoisonError:
        return None


def _names(value: str | list[str] | None) -> frozenset[str]:
    """Scopes: a text with spaces between (RFC 8693; Entra's `scp`), or a list (others; Entra's `roles`)."""
    if value is None:
        return frozenset()
    return frozenset(name for name in (value.split(" ") if isinstance(value, str) else value) if name)
