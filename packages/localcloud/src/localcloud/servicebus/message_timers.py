"""When something is due for the messages of a queue: the ends of locks, scheduled times, expiries."""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from localcloud.servicebus.changes import MessageState, QueuedMessage


class MessageTimers:
    """Moments (Unix milliseconds) with the sequence numbers of messages, by time.

    A moment of a message that is gone, or is not due then any more, may still be there. Those of messages that live for
    days and are received at once would be most of them, so they are dropped when they are.
    """

    def __init__(self, messages: Mapping[int, QueuedMessage]) -> None:
        self._messages = messages
        self._moments: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._moments)

    @property
    def first_ms(self) -> int | None:
        return self._moments[0][0] if self._moments else None

    def add(self, when_ms: int, sequence: int) -> None:
        if len(self._moments) > 64 + 4 * len(self._messages):
            self._tidy()
        heappush(self._moments, (when_ms, sequence))

    def due(self, now_ms: int) -> Iterator[QueuedMessage]:
        """The messages that something is due for by `now_ms`, also of moments that are added meanwhile."""
        while self._moments and self._moments[0][0] <= now_ms:
            message = self._messages.get(heappop(self._moments)[1])
            if message is not None:
                yield message

    def _tidy(self) -> None:
        """Keep the moments of each message as it is now, two at most."""
        self._moments = [
            (when_ms, message.sequence)
            for message in self._messages.values()
            for when_ms in (
                message.expires_ms,
                message.lock.until_ms if message.lock else None,
                message.enqueued_ms if message.state is MessageState.SCHEDULED else None,
            )
            if when_ms is not None
        ]
        heapify(self._moments)
