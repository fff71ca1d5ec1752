"""Everything that puts facts and commands in."""

from songline.producers.outbox import Full, Held
from songline.producers.publisher import EventPublisher

__all__ = ["EventPublisher", "Full", "Held"]
