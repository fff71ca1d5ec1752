"""How much memory the bodies of requests may take at a time: in all, and for one caller."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import Scope

from songline.producers.http.callers import Callers
from songline.producers.http.problems import RequestDeclinedError
from songline.schemas.acceptance import MAX_BATCH_EVENTS, MAX_EVENT_BYTES

MAX_WAITING_BYTES = 64 << 20
EAGER_BYTES = 64 * 1024
NO_PROXIES = Callers()
RETRY_SECONDS = 2


class BodyMemory:
    """At most `max_bytes` for the bodies that are being taken in, half of it for one of `callers`."""

    def __init__(self, callers: Callers = NO_PROXIES, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._callers, self._max_bytes = callers, max_bytes
        self._bytes = 0
        self._by_caller: defaultdict[str | None, int] = defaultdict(int)

    @contextmanager
    def reserved(self, scope: Scope, most: int) -> Iterator["BodyReservation"]:
        """Memory for the body of the request with this ASGI scope, of at most `most` bytes, until the end.

        Raises RequestDeclinedError where the body is too large, or where too much is being taken in.
        """
        length = Headers(scope=scope).get("content-length", "")
        # Python reads no number of more than 4,300 digits, and none that long is small enough.
        size = (int(length) if len(length) < 20 else sys.maxsize) if length.isdecimal() else most
        if size > most:
            raise too_large(size, most)
        reservation = BodyReservation(self, self._callers.of(scope))
        try:
            # More is reserved when more has come: to announce much is no way to keep the others out.
            reservation.grow(min(size, EAGER_BYTES))
            yield reservation
        finally:
            reservation.release()

    def reserve(self, caller: str | None, size: int) -> None:
        """Reserve `size` more bytes for `caller`; raises RequestDeclinedError."""
        own = self._by_caller.get(caller, 0) + size
        if self._bytes + size > self._max_bytes or (caller is not None and own > self._max_bytes / 2):
            whose = "events" if self._bytes + size > self._max_bytes else f"events of {caller}"
            seen = self._bytes if whose == "events" else own - size
            detail = f"{seen} bytes of {whose} are being taken in, and more would be too much. Send it again."
            raise RequestDeclinedError(503, "Too much at a time", detail, RETRY_SECONDS)
        self._bytes += size
        self._by_caller[caller] = own

    def release(self, caller: str | None, size: int) -> None:
        """Give back `size` bytes of `caller`."""
        self._bytes -= size
        self._by_caller[caller] -= size
        if not self._by_caller[caller]:
            del self._by_caller[caller]


class BodyReservation:
    """The memory that one request's body has."""

    def __init__(self, memory: BodyMemory, caller: str | None) -> None:
        self._memory, self._caller = memory, caller
        self._size = 0

    def grow(self, size: int) -> None:
        """Have `size` bytes at least; raises RequestDeclinedError."""
        if size > self._size:
            self._memory.reserve(self._caller, size - self._size)
            self._size = size

    def release(self) -> None:
        """Give all of it back."""
        if self._size:
            self._memory.release(self._caller, self._size)


def too_large(size: int, most: int) -> RequestDeclinedError:
    """The error for a body of `size` bytes or more, where `most` may come."""
    detail = (
        f"The body: saw {size} bytes or more, expected at most {most}: {MAX_EVENT_BYTES} an event, "
        f"{MAX_BATCH_EVENTS} events a batch."
    )
    return RequestDeclinedError(413, "Too large", detail)
