"""Sends commands to the queue `song-commands`. When `send` returns, the broker has stored the command."""

import asyncio
import logging
from contextlib import suppress

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError

from songline.cloud.retry import RetryPolicy, retry
from songline.cloud.service_fault import is_transient
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import PROPERTY, Command, encode

logger = logging.getLogger("songline.producers.uploads.command_sender")

# The bytes of a message beside its body: the command, at most some kilobytes, and the AMQP sections.
PROPERTIES_ROOM = 16 * 1024
CLOSE_S = 2.0
POLICY = RetryPolicy(first_pause_s=0.1, longest_pause_s=1.0)


class CommandSender:
    """Sends commands over one link, one at a time: the SDK's senders don't support concurrent use.

    A transient error is retried for `patience_s` seconds, the wait for the link included. The SDK's client must not
    retry by itself: it would hide the cause and delay the caller.
    """

    def __init__(self, bus: ServiceBusClient, queue: str = SONG_COMMANDS, *, patience_s: float = 10.0) -> None:
        self._bus, self._queue, self._patience_s = bus, queue, patience_s
        self._turn = asyncio.Lock()
        self._link: ServiceBusSender | None = None

    async def room(self) -> int:
        """The most bytes of a body: the link's negotiated message size, less PROPERTIES_ROOM.

        A link that is open is not waited for, whatever is sent over it. Raises TransientError or AccessDeniedError.
        """
        return await self._patiently(None) if self._link is None else _room_of(self._link)

    async def send(self, command: Command, body: bytes | bytearray = b"", message_id: str | None = None) -> None:
        """Send the command with a body of at most `room` bytes; return when the broker has stored it.

        The message id is the command's id unless another one is given. Within the queue's window of duplicate
        detection the broker takes a message id once, so sending again is harmless. Raises TransientError or
        AccessDeniedError.
        """
        message = ServiceBusMessage(
            bytes(body),
            message_id=message_id or command.id,
            subject=command.type,
            application_properties={PROPERTY: encode(command).decode()},
        )
        await self._patiently(message)

    async def close(self) -> None:
        """Close the link. The next `send` opens another."""
        link, self._link = self._link, None
        if link is not None:
            with suppress(ServiceBusError, TimeoutError, OSError):
                await asyncio.wait_for(link.close(), CLOSE_S)

    async def _patiently(self, message: ServiceBusMessage | None) -> int:
        """Send the message, if there is one, with retries; return the room of the link."""
        seen: list[BaseException] = []
        try:
            async with asyncio.timeout(self._patience_s), self._turn:
                return await retry(lambda: self._attempt(message, seen), POLICY, _retries)
        except TimeoutError:
            cause = f"{type(seen[-1]).__name__}: {seen[-1]}" if seen else "no answer"
            raise TransientError(
                f"{self._queue}: saw {cause!r} for {self._patience_s:g} s, expected an acknowledgement: try again later"
            ) from None
        except (ServiceBusError, ValueError) as error:
            raise AccessDeniedError(
                f"{self._queue}: saw {str(error)!r}, expected to be let in: check the connection string and the queue"
            ) from error

    async def _attempt(self, message: ServiceBusMessage | None, seen: list[BaseException]) -> int:
        try:
            link = await self._linked()
            if message is not None:
                await link.send_messages(message)
        except BaseException as error:
            # The state of the link is unknown after any failure, also after a cancelled send.
            seen.append(error)
            if not isinstance(error, asyncio.CancelledError):
                logger.warning("%s: %s: %s", self._queue, type(error).__name__, str(error))
            await asyncio.shield(self.close())
            raise
        return _room_of(link)

    async def _linked(self) -> ServiceBusSender:
        if self._link is None:
            link = self._bus.get_queue_sender(self._queue)
            try:
                await link.__aenter__()
            except BaseException:
                with suppress(ServiceBusError, OSError):
                    await link.close()
                raise
            self._link = link
        return self._link


def _room_of(link: ServiceBusSender) -> int:
    # The SDK's public limit is that of a batch, which is lower than that of a single message of Premium.
    return link._max_message_size_on_link - PROPERTIES_ROOM


def _retries(error: Exception) -> bool:
    """Whether a send is tried again: a busy or full broker, a lost connection, a time-out."""
    return is_transient(error) or isinstance(error, OSError)
