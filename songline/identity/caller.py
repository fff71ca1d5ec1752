"""Who calls, or why that is not known."""

import math
from enum import StrEnum

from msgspec import Struct

from songline.identity.scopes import Scope

REALM = "songline"


class Caller(Struct, frozen=True):
    """The bearer of a token that is good: whom it is about, what it allows, and when it is over (unix seconds).

    `subject` is the listener's id, or what the issuer calls a service (`listener_id`).
    """

    subject: str
    scopes: frozenset[str]
    expires_s: float = math.inf

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def may_for(self, user: str, own: Scope, any_user: Scope) -> bool:
        """Whether the caller may act on what belongs to `user`: their own by the one scope, anybody's by the other."""
        return any_user in self.scopes or (own in self.scopes and user == self.subject)


class RefusalReason(StrEnum):
    """Why a caller is refused. It is counted, and not told: it would say how to get further."""

    MISSING = "missing"
    MALFORMED = "malformed"
    TOO_LONG = "too-long"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown-key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    SCOPE = "scope"
    ISSUER_UNAVAILABLE = "issuer-unavailable"


class CallerRefusal(Struct, frozen=True):
    """A request is refused for want of a good token. `needed` are the scopes of which one would do."""

    reason: RefusalReason
    needed: tuple[Scope, ...] = ()

    @property
    def status(self) -> int:
        match self.reason:
            case RefusalReason.SCOPE:
                return 403
            case RefusalReason.ISSUER_UNAVAILABLE:
                return 503
            case _:
                return 401

    @property
    def challenge(self) -> str | None:
        """The value of WWW-Authenticate (RFC 6750, section 3); None where another token would not help."""
        match self.reason:
            case RefusalReason.ISSUER_UNAVAILABLE:
                return None
            case RefusalReason.MISSING:
                # Who shows no token gets no error code.
                return f'Bearer realm="{REALM}"'
            case RefusalReason.SCOPE:
                return f'Bearer realm="{REALM}", error="insufficient_scope", scope="{" ".join(self.needed)}"'
            case _:
                return f'Bearer realm="{REALM}", error="invalid_token"'


def needs(caller: Caller, *scopes: Scope) -> CallerRefusal | None:
    """The refusal of a caller who has none of `scopes`."""
    if any(caller.may(scope) for scope in scopes):
        return None
    return CallerRefusal(RefusalReason.SCOPE, scopes)
