"""The messages that can be received, in order: by session, or of a whole queue without sessions."""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from localcloud.servicebus.changes import MessageState, QueuedMessage


class ReadyMessages:
    """Heaps of sequence numbers; a number whose message is gone, locked or deferred is skipped.

    Such numbers are dropped when they are first, or are most: nobody may ask a queue whose messages expire.
    """

    def __init__(self, messages: Mapping[int, QueuedMessage]) -> None:
        self._messages = messages
        self._heaps: dict[str | None, list[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, session_id: str | None, sequence: int) -> None:
        if self._count > 64 + 2 * len(self._messages):
            self._tidy()
        heappush(self._heaps.setdefault(session_id, []), sequence)
        self._count += 1

    def first(self, session_id: str | None = None) -> QueuedMessage | None:
        """The message that is next, None when there is none to receive."""
        heap = self._heaps.get(session_id)
        while heap:
            if self._is_ready(heap[0]):
                return self._messages[heap[0]]
            heappop(heap)
            self._count -= 1
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
        return [self._messages[sequence] for sequence in sorted(sequences) if self._is_ready(sequence)]

    def clear(self) -> None:
        self._heaps.clear()
        self._count = 0

    def _is_ready(self, sequence: int) -> bool:
        message = self._messages.get(sequence)
        return message is not None and message.state is MessageState.ACTIVE and message.lock is None

    def _tidy(self) -> None:
        kept = {session_id: sorted(set(filter(self._is_ready, heap))) for session_id, heap in self._heaps.items()}
        self._heaps = {session_id: heap for session_id, heap in kept.items() if heap}
        self._count = sum(map(len, self._heaps.values()))
