"""The messages that can be received, in order: by session, or of a whole queue without sessions."""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from localcloud.servicebus.changes import MessageState, QueuedMessage


class ReadyMessages:
    """Heaps of sequence numbers; a number whose message is gone, locked or deferred is skipped."""

    def __init__(self, messages: Mapping[int, QueuedMessage]) -> None:
        self._messages = messages
        self._heaps: dict[str | None, list[int]] = {}

    def add(self, session_id: str | None, sequence: int) -> None:
        heappush(self._heaps.setdefault(session_id, []), sequence)

    def first(self, session_id: str | None = None) -> QueuedMessage | None:
        """The message that is next, None when there is none to receive."""
        heap = self._heaps.get(session_id)
        while heap:
            message = self._messages.get(heap[0])
            if message is not None and message.state is MessageState.ACTIVE and message.lock is None:
                return message
            heappop(heap)
        self._heaps.pop(session_id, None)
        return None

    def session_ids(self) -> Iterator[str | None]:
        """The sessions that have something to receive; None for a queue without sessions."""
        for session_id in list(self._heaps):
            if self.first(session_id) is not None:
                yield session_id

    def all(self) -> list[QueuedMessage]:
        """Everything that could be received, by sequence number."""
        sequences = {sequence for heap in self._heaps.values() for sequence in heap}
        found = [self._messages[sequence] for sequence in sorted(sequences) if sequence in self._messages]
        return [message for message in found if message.state is MessageState.ACTIVE and message.lock is None]

    def clear(self) -> None:
        self._heaps.clear()
