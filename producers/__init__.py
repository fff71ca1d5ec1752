"""Everything that puts facts and commands in."""

from songline.producers.publishing.errors import OutboxFullError, OutboxLockedError
from songline.producers.publishing.publisher import EventPublisher

__all__ = ["EventPublisher", "OutboxFullError", "OutboxLockedError"]
