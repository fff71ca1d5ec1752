"""When each queue has something to do next."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush


class QueueTimers:
    """One moment (Unix milliseconds) for each path: the earliest that was added since the path was due.

    Later ones may still be there. Each lock of a message that lives for days adds one, so they are dropped when they
    are most.
    """

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._moments: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._moments)

    @property
    def first_ms(self) -> int | None:
        """No path is due before it."""
        return self._moments[0][0] if self._moments else None

    def add(self, when_ms: int, path: str) -> None:
        if when_ms >= self._due.get(path, when_ms + 1):
            return
        self._due[path] = when_ms
        if len(self._moments) > 64 + 2 * len(self._due):
            self._moments = [(moment_ms, one) for one, moment_ms in self._due.items()]
            heapify(self._moments)
        else:
            heappush(self._moments, (when_ms, path))

    def due(self, now_ms: int) -> Iterator[str]:
        """The paths that are due by `now_ms`, also those that are added meanwhile."""
        while self._moments and self._moments[0][0] <= now_ms:
            when_ms, path = heappop(self._moments)
            if self._due.get(path) == when_ms:
                del self._due[path]
                yield path
