"""The reason that a dead-lettered message carries."""

from typing import Final

from localcloud.amqp.types import Map
from localcloud.servicebus.errors import InvalidArgumentError
from localcloud.servicebus.message import DESCRIPTION, REASON, MessageContent

MAX_REASON_LENGTH: Final = 4096


def check_reasons(reason: str | None, description: str | None) -> None:
    """Raises InvalidArgumentError for too long a text."""
    for name, text in (("reason", reason), ("description", description)):
        if text is not None and len(text) > MAX_REASON_LENGTH:
            raise InvalidArgumentError(f"the dead-letter {name} has {len(text)} characters of {MAX_REASON_LENGTH}")


def with_reasons(content: MessageContent, reason: str | None, description: str | None, changes: Map) -> MessageContent:
    """The message with `changes` and the reasons that there are among its application properties."""
    reasons = {REASON: reason, DESCRIPTION: description}
    given: Map = {name: text for name, text in reasons.items() if text is not None}
    return content.with_properties({**changes, **given})
