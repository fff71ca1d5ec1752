"""What the models of a queue have in common: its entries, how they are settled, and that what is durable is what there
is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from localcloud.servicebus import entities
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.changes import (
    Change,
    MessageDeleted,
    MessageInserted,
    MessageState,
    MessageUpdated,
    QueuedMessage,
)
from localcloud.servicebus.queue import MessageQueue
from localcloud_tests.unit.servicebus.builders import T0, tokens

LOCK, LIMIT = 10_000, 2


@dataclass
class Entry:
    """What a model knows of a message; it is in the queue, or dead."""

    name: str
    number: int
    state: MessageState
    due: int
    session: str = ""
    count: int = 0
    token: UUID | None = None
    locked_until: int = 0
    reason: str | None = None


class ModelledQueue(RuleBasedStateMachine):
    """The queue `q` of `broker` beside a list of entries that live `ttl` milliseconds. A subclass makes the broker."""

    ttl: int
    broker: Broker

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.new_token = tokens()
        self.entries: list[Entry] = []
        self.next_number = 1
        self.names = 0
        self.kept: dict[tuple[str, int], QueuedMessage] = {}

    def properties(self, *, requires_session: bool = False) -> entities.QueueDescription:
        return entities.QueueDescription(
            lock_duration=timedelta(milliseconds=LOCK),
            max_delivery_count=LIMIT,
            default_message_time_to_live=timedelta(milliseconds=self.ttl),
            dead_lettering_on_message_expiration=True,
            requires_session=requires_session,
        )

    @property
    def queue(self) -> MessageQueue:
        return self.broker.queue_at("q")

    @property
    def dead(self) -> MessageQueue:
        return self.broker.queue_at("q/$deadletterqueue")

    # The model

    def alive(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.reason is None]

    def model_give_back(self, entry: Entry) -> None:
        entry.token = None
        entry.count += 1
        if entry.count >= LIMIT:
            entry.reason = "MaxDeliveryCountExceeded"
        elif entry.due + self.ttl <= self.now:
            entry.reason = "TTLExpiredException"

    def model_number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def model_settle(self, entry: Entry, how: str) -> None:
        entry.token = None
        if how == "complete":
            self.entries.remove(entry)
        elif how == "abandon":
            self.model_give_back(entry)
        elif how == "defer":
            entry.state = MessageState.DEFERRED
            entry.count += 1
        elif how == "dead_letter":
            entry.reason = "why"

    def act(self, how: str, token: UUID) -> object:
        """Settle the message with this lock."""
        acts: dict[str, Callable[[], object]] = {
            "complete": lambda: self.queue.complete(token, self.now),
            "abandon": lambda: self.queue.abandon(token, self.now, {"abandoned": True}),
            "defer": lambda: self.queue.defer(token, self.now, {}),
            "dead_letter": lambda: self.queue.dead_letter(token, self.now, "why", None, {}),
            "renew": lambda: self.queue.renew(token, self.now),
            "release": lambda: self.queue.release([token]),
        }
        return acts[how]()

    # What always holds

    @invariant()
    def dead_letters_and_bytes_are_the_model(self) -> None:
        if not hasattr(self, "broker"):
            return
        dead = {
            m.content.message_id: (m.content.decoded_properties()[1].get("DeadLetterReason"), m.delivery_count)
            for m in self.dead.peek(0, 10_000)
        }
        assert dead == {e.name: (e.reason, e.count) for e in self.entries if e.reason is not None}
        assert self.queue.bytes == sum(m.content.size for m in self.queue.messages.values())

    @invariant()
    def what_is_durable_is_what_there_is(self) -> None:
        if not hasattr(self, "broker"):
            return
        for change in self.broker.take_changes():
            self.apply(change)
        there = {(q.path, m.sequence): self.durable(m) for q in (self.queue, self.dead) for m in q.messages.values()}
        assert self.kept == there

    def durable(self, message: QueuedMessage) -> QueuedMessage:
        """What of a message is durable."""
        return message

    def apply(self, change: Change) -> None:
        match change:
            case MessageInserted(path, message):
                assert (path, message.sequence) not in self.kept
                self.kept[path, message.sequence] = message
            case MessageUpdated(path, message, rewritten):
                before = self.kept[path, message.sequence]
                assert rewritten or before.content == message.content
                self.kept[path, message.sequence] = message
            case MessageDeleted(path, message):
                del self.kept[path, message.sequence]
            case _:
                raise AssertionError(change)
