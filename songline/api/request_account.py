"""What a request takes out of the bucket of its caller, and the headers that tell what is left.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10, RateLimit-Policy and RateLimit, and the three of its
earlier versions.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.types import Scope, Send

from songline.api.caller_table import CallerTable
from songline.api.limit_settings import REQUESTS, SERVICE_REQUESTS, LimitSettings
from songline.api.rate_bucket import BucketPolicy
from songline.identity.scopes import SERVICES
from songline.producers.http.problems import RequestDeclinedError
from songline.projections.http.headers import changing_headers
from songline.schemas.permission import CALLER
from songline.schemas.refusal_note import REQUESTS as REFUSED
from songline.schemas.refusal_note import note_of

ACCOUNT = "account"
"""Where the ASGI state of a request has its RequestAccount, once it is counted."""
TITLE = "Too many requests"
UNCOUNTED = re.compile(r"/(health|assets|docs/assets)/")
"""Paths whose answers are not counted."""


class RequestLimit(NamedTuple):
    """A bucket, and the setting that it is from."""

    policy: BucketPolicy
    setting: str


class RequestAccount:
    """What a request takes out of the bucket of its caller: one when it comes, and more where it costs more."""

    def __init__(self, table: CallerTable, name: str, limit: RequestLimit, steady: Callable[[], float]) -> None:
        self._table, self.name, self._limit, self._steady = table, name, limit, steady
        self._drawn = table.draw(name, limit.policy, steady())

    def check(self, scope: Scope) -> None:
        """Raises RequestDeclinedError where the bucket had too little."""
        if not self._drawn.allowed:
            note = note_of(scope)
            # What was wrong with a token is known, whatever is answered.
            note.reason = note.reason or REFUSED
            raise RequestDeclinedError(429, TITLE, _detail(self.name, self._limit), max(1, self._drawn.next_s))

    def charge(self, scope: Scope, requests: int) -> None:
        """Take so many more. Raises RequestDeclinedError where the caller owes requests already."""
        self._drawn = self._table.owe(self.name, self._limit.policy, self._steady(), requests)
        self.check(scope)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the caller has left by now."""
        policy, drawn = self._limit.policy, self._drawn
        return [
            (b"ratelimit-policy", b'"requests";q=%d;w=%d' % (policy.burst, policy.window_s)),
            (b"ratelimit", b'"requests";r=%d;t=%d' % (drawn.remaining, drawn.next_s)),
            (b"ratelimit-limit", b"%d" % policy.burst),
            (b"ratelimit-remaining", b"%d" % drawn.remaining),
            (b"ratelimit-reset", b"%d" % drawn.reset_s),
        ]


class RequestAccounts:
    """Opens the accounts of requests. Where `is_open`, nobody is asked for a token: every address is what a service is
    then. `steady` gives seconds."""

    def __init__(
        self,
        settings: LimitSettings,
        table: CallerTable,
        is_open: bool,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.table, self._is_open, self.steady = settings, table, is_open, steady

    def name_of(self, scope: Scope) -> str:
        """The caller as far as they are known by now."""
        return self.settings.callers.of(scope) or "callers without an address"

    def is_service(self, scope: Scope) -> bool:
        """Whether the caller acts for many listeners."""
        caller: Any = scope.get("state", {}).get(CALLER)
        return self._is_open or (caller is not None and any(caller.may(one) for one in SERVICES))

    def open(self, scope: Scope) -> RequestAccount | None:
        """Count the request against its caller, once; None where there is no limit. Raises RequestDeclinedError."""
        name, state = self.name_of(scope), scope["state"]
        known: RequestAccount | None = state.get(ACCOUNT)
        if known is not None and known.name == name:
            return known
        policy, setting = self.settings.caller, REQUESTS
        if self.is_service(scope):
            policy, setting = self.settings.service, SERVICE_REQUESTS
        if policy is None:
            return None
        state[ACCOUNT] = account = RequestAccount(self.table, name, RequestLimit(policy, setting), self.steady)
        account.check(scope)
        return account


def with_account(send: Send, state: Mapping[str, Any]) -> Send:
    """`send`, which adds to the answer what the caller has left by then."""
    account: RequestAccount | None = state.get(ACCOUNT)
    return send if account is None else changing_headers(send, lambda others: [*account.headers(), *others])


def _detail(name: str, limit: RequestLimit) -> str:
    return (
        f"{name}: saw more than {limit.policy.per_s:g} requests a second, expected so many at most, or "
        f"{limit.policy.burst} at once after a pause; each event of a batch counts as a request. Ask again later; "
        f"{limit.setting} sets the limit."
    )
