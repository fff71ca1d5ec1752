"""Changes that the broker's operations make, as plain values in their order, for the store to make durable."""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from localcloud.servicebus.message import MessageContent


class MessageState(IntEnum):
    """The values of `x-opt-message-state`."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


class LockGrant(NamedTuple):
    """A lock: the holder of `token` may settle until `until_ms` (Unix milliseconds)."""

    token: UUID
    until_ms: int


class QueuedMessage(NamedTuple):
    """A message in a queue; times are Unix milliseconds.

    `source` is the path of the queue that it was dead-lettered from, `enqueued_sequence` its number there; `hops`
    counts automatic forwards.
    """

    sequence: int
    content: MessageContent
    enqueued_ms: int
    expires_ms: int | None
    state: MessageState = MessageState.ACTIVE
    delivery_count: int = 0
    lock: LockGrant | None = None
    source: str | None = None
    enqueued_sequence: int | None = None
    hops: int = 0


class MessageInserted(NamedTuple):
    queue: str
    message: QueuedMessage


class MessageUpdated(NamedTuple):
    """State, delivery count and lock of a message; its content too when that is `rewritten`."""

    queue: str
    message: QueuedMessage
    rewritten: bool


class MessageDeleted(NamedTuple):
    queue: str
    message: QueuedMessage


class SessionStateSet(NamedTuple):
    """A session's state was set, or removed (None)."""

    queue: str
    session_id: str
    state: bytes | None


class MessageIdAdded(NamedTuple):
    """A message-id is a duplicate until `until_ms`."""

    entity: str
    message_id: str
    until_ms: int


class MessageIdsExpired(NamedTuple):
    """The message-ids that expired by `now_ms` are no duplicates any more."""

    entity: str
    now_ms: int


class SequenceAdvanced(NamedTuple):
    """Sequence numbers below `next_sequence` are used, also for messages that are not stored."""

    queue: str
    next_sequence: int


class EntityStored(NamedTuple):
    """A queue, topic or subscription made or changed; `document` is its JSON."""

    path: str
    document: bytes


class EntityDeleted(NamedTuple):
    """An entity was deleted with the messages in its queues."""

    path: str
    queues: tuple[str, ...]


Change = (
    MessageInserted
    | MessageUpdated
    | MessageDeleted
    | SessionStateSet
    | MessageIdAdded
    | MessageIdsExpired
    | SequenceAdvanced
    | EntityStored
    | EntityDeleted
)
Emit = Callable[[Change], None]
