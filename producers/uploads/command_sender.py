"""Sending commands to the queue `song-commands`: when `send` returns, the broker has the command on disk."""

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

# What a message holds beside its body: the command, at most some kilobytes, and what AMQP says of it.
PROPERTIES_ROOM = 16 * 1024
CLOSE_S = 2.0
POLICY = RetryPolicy(first_pause_s=0.1, longest_pause_s=1.0)


class CommandSender:
    """Sends commands over one link, one at a time: the SDK's senders are not made for several coroutines.

    What can pass by itself is tried again for `patience_s`, the wait for the link included. The client should not
    retry by itself: it would hide the cause, and hold up whoever waits.
    """

    def __init__(self, bus: ServiceBusClient, queue: str = SONG_COMMANDS, *, patience_s: float = 10.0) -> None:
        self._bus, self._queue, self._patience_s = bus, queue, patience_s
        self._turn = asyncio.Lock()
        self._link: ServiceBusSender | None = None

    async def room(self) -> int:
        """How many bytes a body may have: what the link has negotiated, less what goes with a body.

        Raises TransientError or AccessDeniedError.
        """
        return await self._patiently(None)

    async def send(self, command: Command, body: bytes | bytearray = b"", message_id: str | None = None) -> None:
        """Return when the broker has the command, with a body of at most `room`; raises TransientError or
        AccessDeniedError.

        The message id is the command's id unless another one is given. Within the queue's window of duplicate
        detection a message id is taken once, so that to send again is harmless.
        """
        message = ServiceBusMessage(
            bytes(body),
            message_id=message_id or command.id,
            subject=command.type,
            application_properties={PROPERTY: encode(command).decode()},
        )
        await self._patiently(message)

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(ServiceBusError, TimeoutError, OSError):
                await asyncio.wait_for(link.close(), CLOSE_S)

    async def _patiently(self, message: ServiceBusMessage | None) -> int:
        """Send the message, if there is one; the room that the link has."""
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
            # A cancelled send, too, leaves a link of which nobody knows how far it got.
            seen.append(error)
            if not isinstance(error, asyncio.CancelledError):
                logger.warning("%s: %s: %s", self._queue, type(error).__name__, str(error))
            await asyncio.shield(self.close())
            raise
        # What a batch may hold is public, and less: a batch may not be as large as a single message of Premium.
        return link._max_message_size_on_link - PROPERTIES_ROOM

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


def _retries(error: Exception) -> bool:
    """Whether a send is tried again: a busy or full broker, a lost connection, a time-out."""
    return is_transient(error) or isinstance(error, OSError)
