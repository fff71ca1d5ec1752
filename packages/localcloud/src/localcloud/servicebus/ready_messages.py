"""What can be received: for each session, or for a whole queue without sessions, the numbers in their order."""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from localcloud.servicebus.changes import MessageState, QueuedMessage


class ReadyMessages:
    """Heaps of sequence numbers; a number whose message is gone, locked or set aside is skipped when its turn comes."""

    def __init__(self, messages: Mapping[int, QueuedMessage]) -> None:
        self._messages = messages
        self._heaps: dict[str | None, list[int]] = {}

    def offer(self, lane: str | None, sequence: int) -> None:
        heappush(self._heaps.setdefault(lane, []), sequence)

    def first(self, lane: str | None = None) -> QueuedMessage | None:
        """The message that is next, None when there is none to receive."""
        heap = self._heaps.get(lane)
        while heap:
            message = self._messages.get(heap[0])
            if message is not None and message.state is MessageState.ACTIVE and message.lock is None:
                return message
            heappop(heap)
        self._heaps.pop(lane, None)
        return None

    def names(self) -> Iterator[str | None]:
        """The lanes that have something."""
        for lane in list(self._heaps):
            if self.first(lane) is not None:
                yield lane

    def all(self) -> list[QueuedMessage]:
        """Everything that could be received, by sequence number."""
        sequences = {sequence for heap in self._heaps.values() for sequence in heap}
        found = [self._messages[sequence] for sequence in sorted(sequences) if sequence in self._messages]
        return [message for message in found if message.state is MessageState.ACTIVE and message.lock is None]

    def clear(self) -> None:
        self._heaps.clear()
