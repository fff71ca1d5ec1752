"""Addresses of the namespace's nodes.

    queue · topic · topic/Subscriptions/sub, each with /$DeadLetterQueue, /$Transfer/$DeadLetterQueue, /$management

Names are compared without regard to case.
"""

from dataclasses import dataclass
from typing import Final

MANAGEMENT: Final = "$management"
DEAD_LETTER_SUFFIX: Final = "/$DeadLetterQueue"
TRANSFER_SUFFIX: Final = "/$Transfer/$DeadLetterQueue"
SUBSCRIPTIONS: Final = "/Subscriptions/"


@dataclass(frozen=True, slots=True)
class EntityAddress:
    """An entity's path, and which of its queues is meant; `is_management` for its management node."""

    entity: str
    suffix: str = ""
    is_management: bool = False

    @property
    def path(self) -> str:
        """The path of the queue, in lower case."""
        return (self.entity + self.suffix).lower()


def parse(text: str) -> EntityAddress:
    """
    >>> parse("Orders/Subscriptions/all/$deadletterqueue/$management")
    Address(entity='Orders/Subscriptions/all', suffix='/$DeadLetterQueue', is_management=True)
    """
    path = text.split("://", 1)[1].partition("/")[2] if "://" in text else text
    path = path.strip("/")
    is_management = path.lower().endswith("/" + MANAGEMENT)
    if is_management:
        path = path[: -len(MANAGEMENT) - 1]
    for suffix in (TRANSFER_SUFFIX, DEAD_LETTER_SUFFIX):
        if path.lower().endswith(suffix.lower()):
            return EntityAddress(path[: -len(suffix)], suffix, is_management)
    return EntityAddress(path, "", is_management)


def queue_paths(entity: str) -> tuple[str, str, str]:
    """An entity's own queue, its dead-letter queue, and that of its transfers, in lower case."""
    key = entity.lower()
    return key, key + DEAD_LETTER_SUFFIX.lower(), key + TRANSFER_SUFFIX.lower()


def subscription_path(topic: str, subscription: str) -> str:
    return f"{topic}{SUBSCRIPTIONS}{subscription}"


def split_subscription(path: str) -> tuple[str, str] | None:
    """The topic's and the subscription's name, when that is what the path names."""
    at = path.lower().find(SUBSCRIPTIONS.lower())
    return None if at < 0 else (path[:at], path[at + len(SUBSCRIPTIONS) :])
