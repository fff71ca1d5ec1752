"""Places for exports, each of which reads everything: a few at a time, and one for a listener."""

from collections.abc import Iterator
from contextlib import contextmanager

from songline.producers.http.problems import RequestDeclinedError

EXPORTS = 2
RETRY_S = 30


class ExportSlots:
    """At most `most` exports at a time in this process."""

    def __init__(self, most: int = EXPORTS) -> None:
        self._most = most
        self._listeners: set[str] = set()

    @contextmanager
    def occupied(self, user_id: str) -> Iterator[None]:
        """A place for the export of a listener, until the end; raises RequestDeclinedError."""
        if user_id in self._listeners:
            detail = "saw an export of this listener beside another one, expected one at a time. Ask again later."
            raise RequestDeclinedError(429, "An export is under way", f"userId: {detail}", RETRY_S)
        if len(self._listeners) >= self._most:
            detail = f"{self._most} exports are under way, and each reads everything. Ask again later."
            raise RequestDeclinedError(503, "Too many exports", detail, RETRY_S)
        self._listeners.add(user_id)
        try:
            yield
        finally:
            self._listeners.discard(user_id)
