"""How a queue treats its messages."""

from dataclasses import dataclass

from localcloud.servicebus.changes import QueuedMessage
from localcloud.servicebus.message import MAX_UNIX_MS


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How a queue treats its messages; None stands for no limit. Times are in milliseconds."""

    lock_ms: int
    max_delivery_count: int | None = None
    requires_session: bool = False
    ttl_ms: int | None = None
    dead_letters_expired: bool = False
    forward_to: str = ""
    max_bytes: int | None = None
    expires: bool = True

    def expiry(self, ttl_ms: int | None, enqueued_ms: int) -> int | None:
        """When a message of that time to live expires (Unix milliseconds); None for never."""
        if not self.expires:
            return None
        lifetimes = [ttl for ttl in (ttl_ms, self.ttl_ms) if ttl is not None]
        expires = enqueued_ms + min(lifetimes) if lifetimes else None
        return expires if expires is not None and expires <= MAX_UNIX_MS else None

    def delivered(self, message: QueuedMessage) -> QueuedMessage:
        """The message after one more delivery. A dead-letter queue, which has no maximum, counts none."""
        return message._replace(delivery_count=message.delivery_count + (self.max_delivery_count is not None))
