"""Sessions that were signed out before their cookies are over: copies of the cookies are good for nothing."""

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import structs

from songline.api.session.user_session import RENEW_BEFORE_S, UserSession
from songline.cloud.settings import HiddenStruct

MAX_ENDED = 50_000


class EndedSession(HiddenStruct, frozen=True, array_like=True):
    """A session that was signed out, to be remembered until `until_s` (unix seconds).

    `expires_s` is the end of its access token. `refresh_token` is there until the issuer has been told.
    """

    session_id: str
    until_s: float
    expires_s: float
    refresh_token: str | None = None


class EndedSessions:
    """At most `capacity` of them: those that are over go first, then the one that was signed out first."""

    def __init__(self, found: Iterable[EndedSession] = (), capacity: int = MAX_ENDED) -> None:
        self._capacity = capacity
        # The last of several about one session is how it stands.
        self._ended = OrderedDict((one.session_id, one) for one in found)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ended

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, session: UserSession, now_s: float) -> EndedSession:
        """`session` is over. Without a refresh token it is so by itself when its access token is."""
        until_s = session.expires_s + RENEW_BEFORE_S if session.refresh_token is None else session.ends_s
        ended = EndedSession(session.session_id, until_s, session.expires_s, session.refresh_token)
        if len(self._ended) >= self._capacity:
            self.drop_old(now_s)
        self._ended[session.session_id] = ended
        if len(self._ended) > self._capacity:
            self._ended.popitem(last=False)
        return ended

    def told(self, ended: EndedSession, *, is_revoked: bool) -> EndedSession:
        """The issuer was told. Where it has revoked the refresh token, only the access token is good for a while."""
        until_s = min(ended.until_s, ended.expires_s + RENEW_BEFORE_S) if is_revoked else ended.until_s
        after = structs.replace(ended, refresh_token=None, until_s=until_s)
        self._ended[ended.session_id] = after
        return after

    def untold(self, now_s: float) -> list[EndedSession]:
        """Those of which the issuer is to be told yet."""
        self.drop_old(now_s)
        return [one for one in self._ended.values() if one.refresh_token is not None]

    def drop_old(self, now_s: float) -> None:
        """Forget those whose cookies are over."""
        for session_id in [one.session_id for one in self._ended.values() if one.until_s <= now_s]:
            del self._ended[session_id]

    def all(self) -> list[EndedSession]:
        return list(self._ended.values())
