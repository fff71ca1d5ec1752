"""What the broker's operations change, for the store to make durable: plain values, in the order they happened."""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from localcloud.servicebus.message import MessageContent


class MessageState(IntEnum):
    """As `x-opt-message-state` has it."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


class LockGrant(NamedTuple):
    """Who holds `token` may settle, until `until_ms` (Unix)."""

    token: UUID
    until_ms: int


class QueuedMessage(NamedTuple):
    """A message in a queue; times are Unix milliseconds.

    `source` is the path of the queue that it died in, and `enqueued_sequence` its number there; `hops` counts
    automatic forwards.
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
    """A session's state, None when it has none (any more)."""

    queue: str
    session_id: str
    state: bytes | None


class MessageIdAdded(NamedTuple):
    """A message-id not to be taken again before `until_ms`."""

    entity: str
    message_id: str
    until_ms: int


class MessageIdsExpired(NamedTuple):
    """The message-ids whose time had come at `now_ms`."""

    entity: str
    now_ms: int


class SequenceAdvanced(NamedTuple):
    """Sequence numbers below `next_sequence` are given out, if to nothing that is kept."""

    queue: str
    next_sequence: int


class EntityStored(NamedTuple):
    """A queue, topic or subscription made or changed; `document` is its JSON."""

    path: str
    document: bytes


class EntityDeleted(NamedTuple):
    """An entity, and all that was kept in its queues."""

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
