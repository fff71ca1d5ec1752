"""What the cookie of a signed-in browser holds."""

import msgspec

from songline.api.session.sealing import Sealer
from songline.cloud.settings import HiddenStruct
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError

SESSION = "session"
SESSION_S = 14 * 86_400
"""Who signed in so long ago signs in again."""
RENEW_BEFORE_S = 60
"""An access token is renewed so long before its end: a request may be under way that long. One that is good for a short
time is renewed when a quarter of it is left."""
MIN_RENEW_S = 5
"""A session is renewed no sooner after it was: the issuer's clock may say that a new token is over."""


class UserSession(HiddenStruct, frozen=True, array_like=True):
    """A sign-in. `expires_s` is the end of the access token, `ends_s` that of the session (unix seconds). At `renew_s`
    the access token is to be renewed; None in cookies of earlier versions.

    `csrf` is what the page sends with every write: a page of another origin can have the cookie sent, and not read it.
    """

    session_id: str
    subject: str
    scopes: tuple[str, ...]
    csrf: str
    access_token: str
    refresh_token: str | None
    expires_s: float
    ends_s: float
    renew_s: float | None = None

    def is_due(self, now_s: float) -> bool:
        """Whether the access token is to be renewed."""
        return now_s >= (self.expires_s - RENEW_BEFORE_S if self.renew_s is None else self.renew_s)

    def is_over(self, now_s: float) -> bool:
        return now_s >= self.ends_s

    def sealed(self, sealer: Sealer) -> str:
        return sealer.seal(SESSION, msgspec.msgpack.encode(self))


def renewal_s(now_s: float, expires_s: float) -> float:
    """When a token that came at `now_s`, and ends at `expires_s`, is to be renewed (unix seconds)."""
    ahead_s = min(RENEW_BEFORE_S, max(0.0, expires_s - now_s) / 4)
    return max(expires_s - ahead_s, now_s + MIN_RENEW_S)


_sessions = MsgpackDecoder(UserSession, "not-a-session")


def open_session(sealer: Sealer, text: str, now_s: float) -> UserSession | None:
    """The session in `text`; None where it is none of this API, or over."""
    content = sealer.open(SESSION, text)
    if content is None:
        return None
    try:
        found = _sessions.decode(content)
    except PoisonError:
        # An earlier version of this program sealed it.
        return None
    return None if found.is_over(now_s) else found
