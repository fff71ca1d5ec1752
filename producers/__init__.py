"""Everything that puts facts and commands in."""

from songline.producers.publishing.outbox import Full, Held
from songline.producers.publishing.publisher import EventPublisher

__all__ = ["EventPublisher", "Full", "Held"]
