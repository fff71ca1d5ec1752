"""Counts of the requests that were refused: what was asked for, by what kind of caller, and why."""

import asyncio
import logging
from collections import Counter
from datetime import datetime

from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songline.schemas.refusal_note import FAULT, NOTE, RefusalNote

logger = logging.getLogger(__name__)

LOG_S = 60.0
"""Refusals are told in the log together, so long after the first of them."""
MAX_LOGGED = 10
OTHER = "other"
_BY_STATUS = {401: "missing", 403: "another-listener", 429: "too-many-requests"}


class RefusedRequests(Struct, frozen=True, order=True):
    """Requests that were refused alike. `operation` is a method and a path template: no id, address or token is in it,
    so there are as many of them as operations and reasons."""

    operation: str
    caller: str
    status: int
    reason: str


class CountedRefusals(Struct, frozen=True, rename="camel"):
    """So many requests were refused alike."""

    operation: str
    caller: str
    status: int
    reason: str
    count: int


class RefusalAnswer(Struct, frozen=True, rename="camel"):
    """What `/health/refusals` answers: the refusals of this process `since` it began."""

    since: datetime
    refused: tuple[CountedRefusals, ...]


class RefusalCounts:
    """The refusals of one process, which began at `since`."""

    def __init__(self, since: datetime) -> None:
        self._since = since
        self._counts: Counter[RefusedRequests] = Counter()

    def add(self, status: int, note: RefusalNote) -> RefusedRequests:
        reason = note.reason or _BY_STATUS.get(status, OTHER)
        refused = RefusedRequests(note.operation or OTHER, note.caller, status, reason)
        self._counts[refused] += 1
        return refused

    def answer(self) -> RefusalAnswer:
        """All of them, in order."""
        rows = (
            CountedRefusals(one.operation, one.caller, one.status, one.reason, count)
            for one, count in sorted(self._counts.items())
        )
        return RefusalAnswer(self._since, tuple(rows))


class RefusalCounter:
    """The layer that counts what all others refuse, and errors that nobody foresaw.

    It stands before them, and gives each request its RefusalNote.
    """

    def __init__(self, app: ASGIApp, counts: RefusalCounts, log_s: float = LOG_S) -> None:
        self._app, self._counts, self._log_s = app, counts, log_s
        self._untold: Counter[RefusedRequests] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note = RefusalNote()
        scope.setdefault("state", {})[NOTE] = note

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and (note.reason or message["status"] in _BY_STATUS):
                self._count(message["status"], note)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            # An answer that has begun is cut off by it.
            note.reason = FAULT
            self._count(500, note)
            raise

    def _count(self, status: int, note: RefusalNote) -> None:
        if not self._untold:
            asyncio.get_running_loop().call_later(self._log_s, self.tell)
        self._untold[self._counts.add(status, note)] += 1

    def tell(self) -> None:
        """Log what was refused since the last time."""
        told, self._untold = self._untold, Counter()
        rows = [
            f"{count} x {one.status} {one.reason} ({one.caller}) {one.operation}"
            for one, count in told.most_common(MAX_LOGGED)
        ]
        others = sum(told.values()) - sum(count for _, count in told.most_common(MAX_LOGGED))
        rows += [f"{others} others"] if others else []
        logger.warning("refused within %g s: %s", self._log_s, "; ".join(rows))
