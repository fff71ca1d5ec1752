"""Reads the command and the file in a message of `song-commands`. A message may hold anything: any key holder sends."""

from collections.abc import Iterable
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

from songline.schemas.commands import PROPERTY, Command, decode
from songline.schemas.errors import PoisonError


def command_of(message: ServiceBusReceivedMessage) -> Command:
    """The command that a message carries; raises PoisonError."""
    properties = message.application_properties or {}
    # In AMQP a property's name may be of any type, so it may be text or bytes.
    written = properties.get(PROPERTY.encode(), properties.get(PROPERTY))
    if not isinstance(written, bytes | str):
        raise PoisonError(
            "not-a-command", f"the application property {PROPERTY!r} is {type(written).__name__}, not text"
        )
    return decode(written)


def body_of(message: ServiceBusReceivedMessage) -> list[bytes]:
    """The pieces of the file in a message, none without a body; raises PoisonError for a body that is no AMQP data."""
    if message.body is None:
        return []
    if message.body_type != AmqpMessageBodyType.DATA:
        raise PoisonError("not-a-command", f"the body is an AMQP {message.body_type.value}, not the bytes of a file")
    body = message.body
    return [body] if isinstance(body, bytes) else list(_sections(body))


def _sections(body: Iterable[Any]) -> Iterable[bytes]:
    for section in body:
        if not isinstance(section, bytes):
            raise PoisonError("not-a-command", f"the body holds {type(section).__name__}, not the bytes of a file")
        yield section
