"""The answer of `GET /v1/session`."""

from msgspec import Struct


class SessionAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who uses the page, and what they may do there.

    `sign_in` says whether the API signs users in. `subject` is null for a visitor. `scopes` are those of the session,
    or all of them where the API asks for no tokens; `open` are the groups of operations that need none. `csrf` goes
    into the header `X-CSRF-Token` of every write.
    """

    sign_in: bool
    subject: str | None
    scopes: tuple[str, ...]
    open: tuple[str, ...]
    csrf: str | None

    def __repr__(self) -> str:
        return f"SessionAnswer(subject={self.subject!r})"
