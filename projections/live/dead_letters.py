"""Peeks at the dead letters of `song-commands`, without removing them."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import msgspec
from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from msgspec import Struct

from songline.cloud.servicebus import peeked
from songline.projections.store import StoreUnavailableError
from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import PROPERTY, IngestSong, decode
from songline.schemas.decoding import DECODING_ERRORS
from songline.schemas.errors import PoisonError
from songline.schemas.types import Id, Moment

PEEKED = 20
"""The most dead letters in an answer."""


class Letter(Struct, frozen=True, kw_only=True, rename="camel"):
    """A dead letter: `number` is its sequence number, `tries` its delivery count. The fields from `commandId` on
    describe the command in it; they are null if it holds no valid command."""

    number: int
    reason: str | None
    description: str | None
    tries: int
    sent_at: Moment | None
    command_id: Id | None = None
    command_type: str | None = None
    user_id: Id | None = None
    file_name: str | None = None


class LettersAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The oldest dead letters. `more` says that there may be others."""

    as_of: Moment
    letters: tuple[Letter, ...]
    more: bool


class DeadLetterReader:
    """Reads the dead-letter queue over one link, which stays open. Methods raise StoreUnavailableError."""

    def __init__(self, bus: ServiceBusClient, patience_s: float = 5.0) -> None:
        self._bus = bus
        self._patience_s = patience_s
        # The SDK's receivers don't support concurrent use.
        self._lock = asyncio.Lock()
        self._receiver: ServiceBusReceiver | None = None

    async def peek(self) -> list[Letter]:
        """The oldest dead letters, at most PEEKED + 1."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._patience_s):
                    return await self._peek()
            except (AzureError, TimeoutError, ValueError) as error:
                # A broken link is closed for good; the SDK then raises ValueError.
                await self._drop()
                raise StoreUnavailableError(f"Service Bus can't be reached ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the link and the client."""
        await self._drop()
        await self._bus.close()

    async def _peek(self) -> list[Letter]:
        if self._receiver is None:
            self._receiver = self._bus.get_queue_receiver(SONG_COMMANDS, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        found: list[Letter] = []
        # One message at a time, because each may carry a whole song, and only one is held in memory.
        async with aclosing(peeked(self._receiver, 1)) as messages:
            async for message in messages:
                found.append(letter_of(message))
                if len(found) > PEEKED:
                    break
        return found

    async def _drop(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            await receiver.close()


def letter_of(message: ServiceBusReceivedMessage) -> Letter:
    """The dead letter in a message."""
    letter = Letter(
        number=message.sequence_number or 0,
        reason=_text(lambda: message.dead_letter_reason),
        description=_text(lambda: message.dead_letter_error_description),
        tries=message.delivery_count or 0,
        sent_at=message.enqueued_time_utc,
    )
    properties = message.application_properties or {}
    text = properties.get(PROPERTY.encode()) or properties.get(PROPERTY)
    if not isinstance(text, bytes | str):
        return letter
    try:
        command = decode(text)
    except PoisonError:
        return letter
    return msgspec.structs.replace(
        letter,
        command_id=command.id,
        command_type=command.type,
        user_id=command.data.user_id,
        file_name=command.data.file_name if isinstance(command.data, IngestSong) else None,
    )


def _text(read: Callable[[], str | None]) -> str | None:
    """The text that `read` returns; None if the SDK can't decode what the sender wrote."""
    try:
        return read()
    except DECODING_ERRORS:
        return None
