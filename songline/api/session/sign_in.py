"""One sign-in by authorization code: what is asked of the issuer, and the check of what comes back."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlencode

import msgspec

from songline.api.session.sealing import Sealer
from songline.cloud.settings import HiddenStruct
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError

SIGN_IN = "sign-in"
SIGN_IN_S = 600
"""A user has so long to sign in at the issuer."""
HOME = "/"
MAX_RETURN = 512

# Browsers take a backslash for a slash, and `//host` for another host.
_RETURN = re.compile(r"/(?![/\\])[^\x00-\x20\x7f\\]*")


class PendingSignIn(HiddenStruct, frozen=True, array_like=True):
    """A sign-in that was begun at `began_s` (unix seconds). `verifier` is the proof of PKCE."""

    state: str
    nonce: str
    verifier: str
    return_to: str
    began_s: float

    @property
    def challenge(self) -> str:
        """The S256 code challenge (RFC 7636, section 4.2)."""
        return urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    def sealed(self, sealer: Sealer) -> str:
        return sealer.seal(SIGN_IN, msgspec.msgpack.encode(self))


class SignInFailure(StrEnum):
    """Why nobody is signed in."""

    NOT_BEGUN = "not-begun"
    OVER = "over"
    OTHER_BROWSER = "other-browser"
    OTHER_ISSUER = "other-issuer"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    NO_CODE = "no-code"
    CODE_REFUSED = "code-refused"
    ISSUER_AWAY = "issuer-away"
    UNFIT_TOKENS = "unfit-tokens"
    TOO_LARGE = "too-large"
    NOT_OFFERED = "not-offered"

    @property
    def may_be_repeated(self) -> bool:
        """Whether another try is of use at once."""
        return self not in (self.REFUSED, self.UNFIT_TOKENS, self.TOO_LARGE, self.NOT_OFFERED)

    @property
    def ends_sign_in(self) -> bool:
        """Whether what the browser has begun is over by that."""
        return self not in (self.OTHER_BROWSER, self.ISSUER_AWAY)


_pending = MsgpackDecoder(PendingSignIn, "not-a-sign-in")


def begin(return_to: str | None, random: Callable[[], str], now_s: float) -> PendingSignIn:
    """A sign-in with a state, a nonce and a verifier of its own, each by `random` (43 to 128 characters)."""
    return PendingSignIn(random(), random(), random(), safe_return(return_to), now_s)


def safe_return(text: str | None) -> str:
    """Where the browser goes in the end: `text` if that is a path of this API, else the first view."""
    return text if text and len(text) <= MAX_RETURN and text.isascii() and _RETURN.fullmatch(text) else HOME


def open_pending(sealer: Sealer, text: str | None) -> PendingSignIn | None:
    """The sign-in that this browser has begun; None where it has begun none."""
    content = None if text is None else sealer.open(SIGN_IN, text)
    try:
        return None if content is None else _pending.decode(content)
    except PoisonError:
        return None


def authorization_address(
    endpoint: str, client_id: str, redirect_uri: str, scopes: Sequence[str], pending: PendingSignIn
) -> str:
    """Where the browser asks the issuer for a code."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": pending.state,
        "nonce": pending.nonce,
        "code_challenge": pending.challenge,
        "code_challenge_method": "S256",
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def read_callback(
    answer: Sequence[tuple[str, str]], pending: PendingSignIn | None, issuer: str, *, names_issuer: bool, now_s: float
) -> str | SignInFailure:
    """The code in the query `answer`. `names_issuer`: the issuer says that its answers name it (RFC 9207)."""
    if pending is None:
        return SignInFailure.NOT_BEGUN
    found: Mapping[str, str] = dict(answer)
    # A parameter that is there twice is read one way here and another way elsewhere.
    if len(found) != len(answer) or not hmac.compare_digest(found.get("state", "").encode(), pending.state.encode()):
        return SignInFailure.OTHER_BROWSER
    if not 0 <= now_s - pending.began_s <= SIGN_IN_S:
        return SignInFailure.OVER
    if found.get("iss", issuer if not names_issuer else None) != issuer:
        return SignInFailure.OTHER_ISSUER
    if "error" in found:
        return SignInFailure.CANCELLED if found["error"] == "access_denied" else SignInFailure.REFUSED
    return found.get("code") or SignInFailure.NO_CODE
