"""How much an outbox may hold, and how much of that is taken."""

from songline.producers.publishing.errors import OutboxFullError


class OutboxRoom:
    """Room for `max_events` events and `max_bytes` bytes of keys and bodies; `name` is the outbox's in messages."""

    def __init__(self, name: str, max_events: int, max_bytes: int) -> None:
        self._name, self._max_events, self._max_bytes = name, max_events, max_bytes
        self.events = self.bytes = 0

    def reserve(self, partition_key: str, body: bytes) -> None:
        """Take room for an event that will be appended, or given back; raises OutboxFullError."""
        size = len(partition_key) + len(body)
        if self.events + 1 > self._max_events or self.bytes + size > self._max_bytes:
            raise OutboxFullError(
                f"outbox {self._name}: saw {self.events} events of {self.bytes} bytes waiting for the hub, expected "
                f"at most {self._max_events} of {self._max_bytes}: try again later, and see why the hub is away"
            )
        self.events += 1
        self.bytes += size

    def give_back(self, partition_key: str, body: bytes) -> None:
        """Give up the room of an event that will not be appended."""
        self.events -= 1
        self.bytes -= len(partition_key) + len(body)
