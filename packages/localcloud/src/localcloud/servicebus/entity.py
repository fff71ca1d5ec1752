"""Entities at run time: their properties with the queues that hold their messages."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec

from localcloud.servicebus import entities
from localcloud.servicebus.changes import Emit, MessageIdAdded, MessageIdsExpired
from localcloud.servicebus.entities import ReceivingDescription, RuleDescription, milliseconds
from localcloud.servicebus.policy import QueuePolicy
from localcloud.servicebus.queue import MessageQueue
from localcloud.servicebus.rules import CompiledRule

# Of a dead-letter queue, in which no message is dead-lettered or expires.
DEAD_LETTER_LOCK_MS: Final = 60_000


class EntityDocument(msgspec.Struct, frozen=True):
    """An entity as it is stored: one of the three kinds of properties; times are Unix milliseconds."""

    name: str
    created_ms: int
    updated_ms: int
    queue: entities.QueueDescription | None = None
    topic: entities.TopicDescription | None = None
    subscription: entities.SubscriptionDescription | None = None
    rules: tuple[RuleDescription, ...] = ()


class DuplicateWindow:
    """The message-ids that an entity took within its window of duplicate detection."""

    def __init__(self, path: str, window_ms: int | None, emit: Emit) -> None:
        self.window_ms = window_ms
        self._path = path
        self._emit = emit
        self._until: dict[str, int] = {}
        self._order: deque[tuple[int, str]] = deque()

    def restore(self, message_id: str, until_ms: int) -> None:
        self._until[message_id] = until_ms
        self._order.append((until_ms, message_id))

    def is_duplicate(self, message_id: str, now_ms: int) -> bool:
        """Whether the message-id was taken within the window."""
        return self._until.get(message_id, now_ms) > now_ms

    def remember(self, message_id: str, now_ms: int) -> None:
        """Add a message-id, and drop those that have expired."""
        if self.window_ms is None:
            return
        forgotten = False
        while self._order and self._order[0][0] <= now_ms:
            until, old = self._order.popleft()
            if self._until.get(old) == until:
                del self._until[old]
                forgotten = True
        if forgotten:
            self._emit(MessageIdsExpired(self._path, now_ms))
        self.restore(message_id, now_ms + self.window_ms)
        self._emit(MessageIdAdded(self._path, message_id, now_ms + self.window_ms))


@dataclass(slots=True, eq=False)
class QueueEntity:
    """A queue."""

    name: str
    properties: entities.QueueDescription
    queue: MessageQueue
    window: DuplicateWindow
    created_ms: int
    updated_ms: int
    accessed_ms: int

    @property
    def document(self) -> EntityDocument:
        return EntityDocument(self.name, self.created_ms, self.updated_ms, queue=self.properties)


@dataclass(slots=True, eq=False)
class SubscriptionEntity:
    """A subscription; `name` is its path with its topic."""

    name: str
    properties: entities.SubscriptionDescription
    queue: MessageQueue
    rules: dict[str, CompiledRule]
    created_ms: int
    updated_ms: int
    accessed_ms: int

    @property
    def document(self) -> EntityDocument:
        rules = tuple(rule.rule for rule in self.rules.values())
        return EntityDocument(self.name, self.created_ms, self.updated_ms, subscription=self.properties, rules=rules)


@dataclass(slots=True, eq=False)
class TopicEntity:
    """A topic; its own queue holds what is scheduled and not yet with the subscriptions."""

    name: str
    properties: entities.TopicDescription
    queue: MessageQueue
    window: DuplicateWindow
    subscriptions: dict[str, SubscriptionEntity]
    created_ms: int
    updated_ms: int
    accessed_ms: int

    @property
    def document(self) -> EntityDocument:
        return EntityDocument(self.name, self.created_ms, self.updated_ms, topic=self.properties)

    @property
    def bytes(self) -> int:
        return self.queue.bytes + sum(subscription.queue.bytes for subscription in self.subscriptions.values())


Entity = QueueEntity | TopicEntity | SubscriptionEntity


def receiving_policy(
    properties: ReceivingDescription, max_bytes: int | None, default_ttl_ms: int | None = None
) -> QueuePolicy:
    """The policy of a queue's or subscription's own messages; `default_ttl_ms` is its topic's."""
    lifetimes = [ttl for ttl in (milliseconds(properties.default_message_time_to_live), default_ttl_ms) if ttl]
    return QueuePolicy(
        lock_ms=int(properties.lock_duration.total_seconds() * 1000),
        max_delivery_count=properties.max_delivery_count,
        requires_session=properties.requires_session,
        ttl_ms=min(lifetimes) if lifetimes else None,
        dead_letters_expired=properties.dead_lettering_on_message_expiration,
        forward_to=properties.forward_to,
        max_bytes=max_bytes,
    )


def topic_policy(properties: entities.TopicDescription) -> QueuePolicy:
    """The policy of what waits in a topic for its time."""
    return QueuePolicy(lock_ms=1, ttl_ms=milliseconds(properties.default_message_time_to_live), max_bytes=None)


def dead_letter_policy(forward_to: str) -> QueuePolicy:
    return QueuePolicy(lock_ms=DEAD_LETTER_LOCK_MS, forward_to=forward_to, expires=False)


def window_ms(properties: entities.SendingDescription) -> int | None:
    """How long message-ids are remembered; None when they are not."""
    if not properties.requires_duplicate_detection:
        return None
    return int(properties.duplicate_detection_history_time_window.total_seconds() * 1000)
