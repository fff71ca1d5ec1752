"""What the issuer's token endpoint answered: tokens as values."""

from msgspec import Struct

from songline.cloud.settings import HiddenStruct
from songline.identity.caller import Caller, CallerRefusal
from songline.identity.settings import VerifierSettings
from songline.identity.token_check import check_claims
from songline.identity.token_part import decode_part
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError


class GrantedTokens(HiddenStruct, frozen=True):
    """Tokens, as the issuer gave them (RFC 6749, section 5.1)."""

    access_token: str
    refresh_token: str | None = None
    id_token: str | None = None


class AccessGrant(Struct, frozen=True):
    """What an access token says: whom it is about, what it allows, and its end (unix seconds)."""

    caller: Caller
    expires_s: float


class UnfitTokensError(Exception):
    """The issuer gave tokens that this API would not take; the message says which."""


class _End(Struct):
    exp: float


class _Nonce(Struct):
    nonce: str | None = None


_tokens = Decoder(GrantedTokens, "not-an-answer")
_ends = Decoder(_End, "not-a-token")
_nonces = Decoder(_Nonce, "not-a-token")


def read_tokens(body: bytes) -> GrantedTokens:
    """The tokens in an answer. Raises UnfitTokensError."""
    try:
        return _tokens.decode(body)
    except PoisonError as poison:
        raise UnfitTokensError(f"the answer has no tokens: {poison.detail}") from None


def read_grant(tokens: GrantedTokens, settings: VerifierSettings, now_s: float) -> AccessGrant:
    """What the access token says, so that a token for another API is seen at sign-in and not at every request.

    The issuer itself gave it over a connection of ours, so that no signature is needed here; the API checks it with
    each request. Raises UnfitTokensError.
    """
    payload = _payload(tokens.access_token, "access token")
    caller = check_claims(payload, settings, now_s)
    if isinstance(caller, CallerRefusal):
        raise UnfitTokensError(f"the access token's {caller.reason} is not what this API takes")
    return AccessGrant(caller, _ends.decode(payload).exp)


def check_nonce(tokens: GrantedTokens, issuer: str, client_id: str, nonce: str, now_s: float) -> None:
    """Check that the ID token, where there is one, was made for this sign-in (OpenID Connect Core, section 3.1.3.7).

    Raises UnfitTokensError.
    """
    if tokens.id_token is None:
        return
    payload = _payload(tokens.id_token, "ID token")
    about = check_claims(payload, VerifierSettings(issuer, client_id), now_s)
    if isinstance(about, CallerRefusal):
        raise UnfitTokensError(f"the ID token's {about.reason} is not what this client takes")
    try:
        seen = _nonces.decode(payload).nonce
    except PoisonError:
        seen = None
    if seen != nonce:
        raise UnfitTokensError("the ID token was made for another sign-in: its nonce is another one")


def _payload(token: str, kind: str) -> bytes:
    parts = token.split(".")
    try:
        if len(parts) == 3:
            return decode_part(parts[1])
    except ValueError:
        pass
    raise UnfitTokensError(f"the {kind} is no JWT")
