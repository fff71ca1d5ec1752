"""The broker: the entities by path, and how messages move between them.

Pure: it changes nothing but itself. What has to become durable is collected until `take_changes`; times are
arguments, in Unix milliseconds. Every operation checks before it changes, so one that raises has changed nothing.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from localcloud.servicebus import rules, topology
from localcloud.servicebus.changes import Change, EntityDeleted, EntityStored, QueuedMessage, SequenceAdvanced
from localcloud.servicebus.entities import max_bytes, max_message_bytes, milliseconds
from localcloud.servicebus.entity import (
    DuplicateWindow,
    Entity,
    EntityDocument,
    QueueEntity,
    SubscriptionEntity,
    TopicEntity,
    dead_letter_policy,
    receiving_policy,
    topic_policy,
    window_ms,
)
from localcloud.servicebus.errors import (
    EntityDisabledError,
    EntityNotFoundError,
    MessageTooLargeError,
    NotAllowedError,
    QuotaExceededError,
    ServiceBusError,
)
from localcloud.servicebus.message import MessageContent
from localcloud.servicebus.policy import QueuePolicy
from localcloud.servicebus.queue import MessageQueue
from localcloud.servicebus.queue_timers import QueueTimers
from localcloud.servicebus.sql_values import FilterError
from localcloud.servicebus.standard_limits import EntityLimits

MAX_HOPS: Final = 4


class Broker:
    """All entities of the namespace, no more than `limits` allow (None: any number)."""

    def __init__(self, limits: EntityLimits | None = None) -> None:
        self.limits = limits
        self.queues: dict[str, QueueEntity] = {}
        self.topics: dict[str, TopicEntity] = {}
        self.queues_by_path: dict[str, MessageQueue] = {}
        self._changes: list[Change] = []
        self._ready: dict[MessageQueue, None] = {}
        self._moving: deque[MessageQueue] = deque()
        self.timers = QueueTimers()

    # What the namespace polls

    def take_changes(self) -> list[Change]:
        """The changes since it was last asked."""
        changes, self._changes = self._changes, []
        return changes

    def take_ready(self) -> list[MessageQueue]:
        """The queues that may have got something to receive since it was last asked."""
        ready, self._ready = list(self._ready), {}
        return ready

    @property
    def next_due(self) -> int | None:
        """When `advance` has something to do."""
        return self.timers.first_ms

    def emit(self, change: Change) -> None:
        self._changes.append(change)

    # Lookup

    def entity(self, path: str) -> Entity:
        """Raises EntityNotFoundError."""
        found = self._by_path(path.lower())
        if found is None:
            raise EntityNotFoundError(path)
        return found

    def _by_path(self, path: str) -> Entity | None:
        names = topology.split_subscription(path)
        if names:
            topic = self.topics.get(names[0])
            return topic.subscriptions.get(names[1]) if topic else None
        return self.queues.get(path) or self.topics.get(path)

    def inlet(self, path: str) -> QueueEntity | TopicEntity:
        """The entity to send to. Raises EntityNotFoundError, NotAllowedError, EntityDisabledError."""
        address = topology.parse(path)
        entity = self.entity(address.entity)
        if isinstance(entity, SubscriptionEntity) or address.suffix:
            raise NotAllowedError(f"'{path}' can't be sent to: send to the queue or the topic")
        if not entity.properties.sends:
            raise EntityDisabledError(f"'{path}' is {entity.properties.status}: it takes no messages.")
        return entity

    def outlet(self, path: str) -> MessageQueue:
        """The queue to receive from. Raises EntityNotFoundError, NotAllowedError, EntityDisabledError."""
        entity = self.entity(topology.parse(path).entity)
        if isinstance(entity, TopicEntity):
            raise NotAllowedError(f"'{path}' is a topic: receive from one of its subscriptions")
        if not entity.properties.receives:
            raise EntityDisabledError(f"'{path}' is {entity.properties.status}: nothing can be received.")
        return self.queue_at(path)

    def queue_at(self, path: str) -> MessageQueue:
        """The queue at a path, a topic's queue of scheduled messages too. Raises EntityNotFoundError."""
        queue = self.queues_by_path.get(topology.parse(path).path)
        if queue is None:
            raise EntityNotFoundError(path)
        return queue

    def record_access(self, path: str, now_ms: int) -> None:
        """Record that the entity is in use, for its deletion on idle."""
        self.entity(topology.parse(path).entity).accessed_ms = now_ms

    # Entities

    def add(self, document: EntityDocument, now_ms: int) -> Entity:
        """An entity as its document says; nothing is stored by this."""
        times = {"created_ms": document.created_ms, "updated_ms": document.updated_ms, "accessed_ms": now_ms}
        entity: Entity
        if document.queue:
            queue = self._make_queue(document.name, receiving_policy(document.queue, max_bytes(document.queue)))
            self._add_dead_letter_queues(queue, document.queue.forward_dead_lettered_messages_to)
            window = DuplicateWindow(document.name.lower(), window_ms(document.queue), self.emit)
            entity = QueueEntity(document.name, document.queue, queue, window, **times)
            self.queues[document.name.lower()] = entity
        elif document.topic:
            queue = self._make_queue(document.name, topic_policy(document.topic))
            window = DuplicateWindow(document.name.lower(), window_ms(document.topic), self.emit)
            entity = TopicEntity(document.name, document.topic, queue, window, {}, **times)
            self.topics[document.name.lower()] = entity
        else:
            entity = self._add_subscription(document, times)
        self._end_if_idle(entity, now_ms)
        return entity

    def _add_subscription(self, document: EntityDocument, times: dict[str, int]) -> SubscriptionEntity:
        assert document.subscription is not None
        topic_name, name = topology.split_subscription(document.name) or ("", "")
        topic = self.topics[topic_name.lower()]
        ttl = milliseconds(topic.properties.default_message_time_to_live)
        queue = self._make_queue(document.name, receiving_policy(document.subscription, None, ttl))
        self._add_dead_letter_queues(queue, document.subscription.forward_dead_lettered_messages_to)
        compiled = {rule.name.lower(): rules.compile_rule(rule) for rule in document.rules}
        made = SubscriptionEntity(document.name, document.subscription, queue, compiled, **times)
        topic.subscriptions[name.lower()] = made
        return made

    def _make_queue(self, path: str, policy: QueuePolicy) -> MessageQueue:
        queue = MessageQueue(path.lower(), policy, self.emit, self._on_ready, self._on_timer)
        self.queues_by_path[path.lower()] = queue
        return queue

    def _add_dead_letter_queues(self, queue: MessageQueue, forward_to: str) -> None:
        policy = dead_letter_policy(forward_to)
        queue.dead_letters = self._make_queue(topology.queue_paths(queue.path)[1], policy)
        queue.transfer_dead_letters = self._make_queue(topology.queue_paths(queue.path)[2], dead_letter_policy(""))

    def store(self, entity: Entity) -> None:
        """Make the entity's properties durable."""
        self.emit(EntityStored(entity.name.lower(), msgspec.json.encode(entity.document)))

    def delete(self, entity: Entity) -> None:
        """Delete an entity with all its messages."""
        key = entity.name.lower()
        if isinstance(entity, TopicEntity):
            for subscription in list(entity.subscriptions.values()):
                self.delete(subscription)
            del self.topics[key]
        elif isinstance(entity, QueueEntity):
            del self.queues[key]
        else:
            topic_name, name = topology.split_subscription(key) or ("", "")
            del self.topics[topic_name].subscriptions[name]
        queues = [self.queues_by_path.pop(path, None) for path in topology.queue_paths(key)]
        for queue in queues:
            if queue is not None:
                queue.remove_all()
                self._ready[queue] = None
        self.emit(EntityDeleted(key, topology.queue_paths(key)))

    def apply_policy(self, entity: Entity) -> None:
        """Apply changed properties, also to messages that are there already."""
        if isinstance(entity, TopicEntity):
            entity.queue.policy = topic_policy(entity.properties)
            entity.window.window_ms = window_ms(entity.properties)
            for subscription in entity.subscriptions.values():
                self.apply_policy(subscription)
            return
        if isinstance(entity, QueueEntity):
            entity.queue.policy = receiving_policy(entity.properties, max_bytes(entity.properties))
            entity.window.window_ms = window_ms(entity.properties)
        else:
            topic_name, _ = topology.split_subscription(entity.name) or ("", "")
            ttl = milliseconds(self.topics[topic_name.lower()].properties.default_message_time_to_live)
            entity.queue.policy = receiving_policy(entity.properties, None, ttl)
        if entity.queue.dead_letters is not None:
            entity.queue.dead_letters.policy = dead_letter_policy(entity.properties.forward_dead_lettered_messages_to)
            self._on_ready(entity.queue.dead_letters)
        self._on_ready(entity.queue)

    # Messages

    def send(self, path: str, contents: Sequence[MessageContent], now_ms: int) -> list[int]:
        """Add all of the messages, or raise and add none. Returns their sequence numbers.

        A duplicate is dropped, and its sender gets the answer of a message that was added.
        """
        entity = self.inlet(path)
        self._check(entity, contents)
        entity.accessed_ms = now_ms
        numbers: list[int] = []
        for content in contents:
            if entity.window.is_duplicate(content.message_id, now_ms):
                numbers.append(self._number(entity))
                continue
            entity.window.remember(content.message_id, now_ms)
            numbers.append(self._accept(entity, content, now_ms, hops=0))
        self.forward_ready(now_ms)
        return numbers

    def _check(self, entity: QueueEntity | TopicEntity, contents: Iterable[MessageContent]) -> None:
        limit = max_message_bytes(entity.properties)
        for content in contents:
            if content.size > limit:
                raise MessageTooLargeError(f"a message of {content.size} bytes; '{entity.name}' takes up to {limit}")
        if isinstance(entity, QueueEntity):
            entity.queue.check_room(contents)
        elif entity.bytes + sum(content.size for content in contents) > max_bytes(entity.properties):
            raise QuotaExceededError(f"'{entity.name}' holds {entity.bytes} of {max_bytes(entity.properties)} bytes")

    def _number(self, entity: QueueEntity | TopicEntity) -> int:
        """A sequence number for a message that is not stored in this queue."""
        number = entity.queue.next_sequence
        entity.queue.next_sequence += 1
        self.emit(SequenceAdvanced(entity.queue.path, number + 1))
        return number

    def _accept(self, entity: QueueEntity | TopicEntity, content: MessageContent, now_ms: int, hops: int) -> int:
        due = content.due_ms is not None and content.due_ms > now_ms
        if isinstance(entity, QueueEntity) or due:
            return entity.queue.push(content, now_ms, hops=hops).sequence
        number = self._number(entity)
        self._publish(entity, content, now_ms, number, hops)
        return number

    def _publish(self, topic: TopicEntity, content: MessageContent, now_ms: int, number: int, hops: int) -> None:
        """Add a copy to every subscription whose rules match."""
        for subscription in topic.subscriptions.values():
            queue = subscription.queue
            more = {"sequencenumber": number, "enqueuedtimeutc": now_ms, "deliverycount": 0}
            try:
                taken = rules.copies(list(subscription.rules.values()), content, more)
            except FilterError as error:
                if subscription.properties.dead_lettering_on_filter_evaluation_exceptions:
                    kept = queue.push(content, now_ms, enqueued_sequence=number, hops=hops)
                    queue.move_to_dead_letters(kept, now_ms, "FilterEvaluationException", str(error), {})
                continue
            for copy in taken:
                kept = queue.push(copy, now_ms, enqueued_sequence=number, hops=hops)
                if queue.policy.requires_session and copy.session_id is None:
                    queue.move_to_dead_letters(
                        kept, now_ms, "Session id is null.", "The subscription requires sessions.", {}
                    )

    def forward_ready(self, now_ms: int) -> None:
        """Forward what is ready in topics and in queues that forward, until nothing more can move.

        To be called after an operation on one of the queues, as `send` and `advance` do themselves.
        """
        while self._moving:
            source = self._moving.popleft()
            topic = self.topics.get(source.path)
            for message in source.ready.all():
                if topic:
                    source.remove(message)
                    self._publish(topic, message.content, now_ms, message.sequence, message.hops)
                elif not self._forward(source, message, now_ms):
                    break

    def _forward(self, source: MessageQueue, message: QueuedMessage, now_ms: int) -> bool:
        """Forward a message, or dead-letter it if it can't be; returns False for a dead letter, which stays."""
        try:
            if message.hops >= MAX_HOPS:
                raise NotAllowedError(f"forwarded {message.hops} times already, which is the most there may be")
            target = self.inlet(source.policy.forward_to)
            self._check(target, [message.content])
        except ServiceBusError as error:
            if source.transfer_dead_letters is None:
                self._ready[source] = None
                return False
            reason = type(error).__name__.removesuffix("Error")
            source.move_to_dead_letters(message, now_ms, reason, str(error), {}, source.transfer_dead_letters)
            return True
        source.remove(message)
        if not target.window.is_duplicate(message.content.message_id, now_ms):
            target.window.remember(message.content.message_id, now_ms)
            self._accept(target, message.content, now_ms, message.hops + 1)
        return True

    # Time

    def advance(self, now_ms: int) -> None:
        """Do everything that is due by `now_ms`."""
        for path in self.timers.due(now_ms):
            queue = self.queues_by_path.get(path)
            if queue is None:
                continue
            queue.advance(now_ms)
            if queue.next_due is not None:
                self._on_timer(queue.next_due, queue)
            entity = self._by_path(path)
            if entity is not None:
                self._end_if_idle(entity, now_ms)
        self.forward_ready(now_ms)

    def _end_if_idle(self, entity: Entity, now_ms: int) -> None:
        idle = milliseconds(entity.properties.auto_delete_on_idle)
        if idle is None:
            return
        if entity.accessed_ms + idle <= now_ms:
            self.delete(entity)
        else:
            self._on_timer(entity.accessed_ms + idle, entity.queue)

    def _on_ready(self, queue: MessageQueue) -> None:
        if queue.policy.forward_to or queue.path in self.topics:
            self._moving.append(queue)
        else:
            self._ready[queue] = None

    def _on_timer(self, when: int, queue: MessageQueue) -> None:
        self.timers.add(when, queue.path)
