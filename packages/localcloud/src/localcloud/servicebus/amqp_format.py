"""Messages and errors of the broker in the form that AMQP clients get."""

from typing import Final

from localcloud.amqp.errors import AmqpError
from localcloud.amqp.types import Int, Map, Symbol, Timestamp, Uint, Value
from localcloud.servicebus.changes import MessageState, QueuedMessage
from localcloud.servicebus.errors import ServiceBusError
from localcloud.servicebus.message import head

BATCH_FORMAT: Final = 0x80013700
# .NET's ticks, 100 ns each, from the year 1 to 1970.
UNIX_EPOCH_TICKS: Final = 621_355_968_000_000_000


def amqp_error(error: ServiceBusError) -> AmqpError:
    return AmqpError(Symbol(error.condition), str(error))


def ticks(unix_ms: int) -> int:
    return UNIX_EPOCH_TICKS + unix_ms * 10_000


def delivered(message: QueuedMessage, body: bytes) -> bytes:
    """The message as a client gets it."""
    content = message.content
    annotations: Map = dict(content.annotations)
    annotations[Symbol("x-opt-sequence-number")] = message.sequence
    annotations[Symbol("x-opt-enqueued-time")] = Timestamp(message.enqueued_ms)
    if message.state is not MessageState.ACTIVE:
        annotations[Symbol("x-opt-message-state")] = Int(message.state)
    if message.enqueued_sequence is not None:
        annotations[Symbol("x-opt-enqueue-sequence-number")] = message.enqueued_sequence
    if message.source is not None:
        annotations[Symbol("x-opt-deadletter-source")] = message.source
    delivery: Map = dict(content.delivery)
    if message.lock is not None:
        delivery[Symbol("x-opt-lock-token")] = message.lock.token
        annotations[Symbol("x-opt-locked-until")] = Timestamp(message.lock.until_ms)
    ttl = None if message.expires_ms is None else Uint(min(message.expires_ms - message.enqueued_ms, 0xFFFF_FFFF))
    header: list[Value] = [None, content.priority, ttl, None, Uint(message.delivery_count)]
    return head(header, delivery, annotations, content.bare) + body
