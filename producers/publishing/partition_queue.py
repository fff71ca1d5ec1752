"""The events of one partition on their way into the hub: pure, with at most one batch in flight."""

from collections import deque
from collections.abc import Callable
from math import inf

from songline.producers.publishing.errors import TransientError
from songline.producers.publishing.state import SENDER_TRANSITIONS, BatchConfig, QueuedEvent, SenderState, moved
from songline.schemas.acceptance import refuse

_EVENT_OVERHEAD = 64
"""Bytes that a batch has for an event beside its body."""


class PartitionQueue:
    """One partition's events, in order: those that wait, and the one batch in flight."""

    def __init__(self, partition: str, config: BatchConfig) -> None:
        self.partition, self._config = partition, config
        self.state = SenderState.IDLE
        self.in_flight: list[QueuedEvent] = []
        self.waiting: deque[QueuedEvent] = deque()
        self._bytes = 0
        self._deadline: float | None = None

    def put(self, event: QueuedEvent) -> bool:
        """Take an event; return whether the sender has to look again."""
        assert self.state is not SenderState.ENDED, f"partition {self.partition}: its sender has ended"
        event.is_queued = True
        self.waiting.append(event)
        self._bytes += len(event.body) + _EVENT_OVERHEAD
        if self.state is SenderState.IDLE:
            self._move("event")
            return True
        return self.state is SenderState.GATHERING and self._is_full()

    def due_at(self) -> float:
        """When the next batch goes: `-inf` for at once, `inf` for not before another event or the end."""
        if not self.waiting:
            return inf
        return -inf if self._deadline is not None or self._is_full() else self.waiting[0].since + self._config.linger_s

    def close(self, deadline: float) -> None:
        """Linger no more, and give up at `deadline` what could not be sent by then."""
        self._deadline = deadline
        if self.state is SenderState.IDLE:
            self._move("close")

    def fill(self, fits: Callable[[QueuedEvent], bool]) -> list[tuple[QueuedEvent, Exception]]:
        """Put into flight what waits, in order, as much as `fits`; return what will never be sent, with the reason."""
        dropped: list[tuple[QueuedEvent, Exception]] = []
        while self.waiting and len(self.in_flight) < self._config.events:
            event = self.waiting[0]
            if event.given_up:
                dropped.append((event, TransientError(f"partition {self.partition}: the event was given up")))
            elif fits(event):
                self.in_flight.append(event)
            elif self.in_flight:
                break
            else:
                dropped.append((event, refuse("event", f"{len(event.body)} bytes", "what the hub's link takes")))
            self.waiting.popleft()
            self._bytes -= len(event.body) + _EVENT_OVERHEAD
        self._move("batch" if self.in_flight else "nothing fits")
        return dropped

    def is_worth_repeating(self, transient: bool, now: float) -> bool:
        """Whether the batch in flight is tried again. What the outbox has, has been accepted: it waits for the operator
        too."""
        if all(event.given_up for event in self.in_flight):
            return False
        oldest, deadline = self.in_flight[0], inf if self._deadline is None else self._deadline
        if oldest.copy != "none":
            return now < deadline
        return transient and now < min(oldest.since + self._config.patience_s, deadline)

    def patience_left_s(self, now: float) -> float:
        """For how many seconds more the batch in flight is tried."""
        oldest, deadline = self.in_flight[0], inf if self._deadline is None else self._deadline
        given_up = oldest.since + self._config.patience_s if oldest.copy == "none" else inf
        return min(given_up, deadline) - now

    def fail(self) -> None:
        self._move("failed")

    def resume(self) -> None:
        self._move("pause over")

    def settle(self, trigger: str) -> list[QueuedEvent]:
        """End the batch in flight, or with `cancelled` all there is; return its events."""
        settled, self.in_flight = self.in_flight, []
        if trigger == "cancelled":
            settled += self.waiting
            self.waiting.clear()
            self._bytes = 0
        self._move(trigger)
        return settled

    def unkept(self) -> list[QueuedEvent]:
        """What is neither in the hub nor in the outbox, and not given up, in order."""
        events = (*self.in_flight, *self.waiting)
        return [event for event in events if event.copy == "none" and not event.given_up]

    def _is_full(self) -> bool:
        return len(self.waiting) >= self._config.events or self._bytes >= self._config.bytes

    def _move(self, trigger: str) -> None:
        self.state = moved(SENDER_TRANSITIONS, self.state, trigger)
        if self.state is SenderState.IDLE and self.waiting:
            self._move("event")
        elif self.state is SenderState.IDLE and self._deadline is not None:
            self._move("close")
