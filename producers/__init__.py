"""Everything that puts facts and commands in."""

from producers.outbox import Full, Held
from producers.publisher import EventPublisher

__all__ = ["EventPublisher", "Full", "Held"]
