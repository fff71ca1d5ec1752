"""Messages and brokers for tests of the pure core."""

from collections.abc import Callable
from itertools import count
from uuid import UUID

from localcloud.amqp.message import APPLICATION_PROPERTIES, DATA, MESSAGE_ANNOTATIONS, section
from localcloud.amqp.performatives import Properties
from localcloud.amqp.types import Map, Symbol, Timestamp
from localcloud.servicebus import entities
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.entities import RuleDescription
from localcloud.servicebus.entity import EntityDocument
from localcloud.servicebus.message import MessageContent, read_content
from localcloud.servicebus.queue import MessageQueue

T0 = 1_700_000_000_000


def tokens() -> Callable[[], UUID]:
    """Tokens that are easy to tell apart: 1, 2, 3, ..."""
    numbers = count(1)
    return lambda: UUID(int=next(numbers))


def content(
    body: str = "x",
    *,
    message_id: str = "id",
    session_id: str | None = None,
    due_ms: int | None = None,
    properties: Map | None = None,
    subject: str | None = None,
) -> MessageContent:
    """A message as a client would send it."""
    parts = [
        section(MESSAGE_ANNOTATIONS, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(due_ms)}) if due_ms else b"",
        Properties(message_id=message_id, group_id=session_id, subject=subject).encoded(),
        section(APPLICATION_PROPERTIES, properties) if properties else b"",
        section(DATA, body.encode()),
    ]
    return read_content(b"".join(parts), UUID(int=0))


def broker_with(
    queues: dict[str, entities.QueueDescription] | None = None,
    topics: dict[str, entities.TopicDescription] | None = None,
    subscriptions: dict[str, tuple[entities.SubscriptionDescription, tuple[RuleDescription, ...]]] | None = None,
) -> Broker:
    """A broker with these entities, subscriptions by their paths."""
    broker = Broker()
    for name, queue in (queues or {}).items():
        broker.add(EntityDocument(name, T0, T0, queue=queue), T0)
    for name, topic in (topics or {}).items():
        broker.add(EntityDocument(name, T0, T0, topic=topic), T0)
    for name, (subscription, rules) in (subscriptions or {}).items():
        broker.add(EntityDocument(name, T0, T0, subscription=subscription, rules=rules), T0)
    return broker


def bodies(queue: MessageQueue) -> list[str]:
    """The bodies in a queue, whatever their state."""
    kept = [message.content.body for message in queue.peek(0, 1000)]
    return [body[len(section(DATA, b"")) :].decode() for body in kept if isinstance(body, bytes)]
