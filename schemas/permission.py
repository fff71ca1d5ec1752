"""Whose data the caller of a request may act on, for the routes that read a listener's name out of a request."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

CALLER = "caller"
"""Where the ASGI state of a request has its Caller, None where nobody has to say who they are."""
STATE = "permission"
"""Where the ASGI state of a request has its Permission."""


class NotPermittedError(Exception):
    """The caller may not do this. `challenge` is the value of WWW-Authenticate, which names the scope that would do."""

    def __init__(self, detail: str, challenge: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.challenge = challenge


class Permission(Struct, frozen=True):
    """What a caller may do in one operation: for `subject`, the listener that their token is about, and for everybody.

    `wider` is the scope that allows it for everybody, and `challenge` the value of WWW-Authenticate that names it.
    """

    subject: str
    for_subject: bool
    for_everybody: bool
    wider: str = ""
    challenge: str = ""

    def covers(self, user_id: str) -> bool:
        """Whether the caller may act for this listener. Ids are compared to the letter."""
        return self.for_everybody or (self.for_subject and user_id == self.subject)

    def check(self, field: str, user_id: str) -> None:
        """Raise NotPermittedError unless the caller may act for the listener whom `field` names."""
        if not self.covers(user_id):
            raise NotPermittedError(f"{field}: saw {user_id[:128]!r}, expected {self.rule}.", self.challenge)

    @property
    def rule(self) -> str:
        """What a listener's name has to be."""
        return f"{self.subject!r}, whom the token is about, or a token with the scope {self.wider}"


UNRESTRICTED = Permission("", for_subject=True, for_everybody=True)
NOBODYS = Permission("", for_subject=False, for_everybody=False)


def permission_of(scope: Mapping[str, Any]) -> Permission:
    """The permission in a request's ASGI scope; UNRESTRICTED where the API asks for no tokens."""
    found: Permission = scope.get("state", {}).get(STATE, UNRESTRICTED)
    return found
