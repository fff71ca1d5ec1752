"""Puts a command back into its queue for later, so that what waits for a turn holds no lane of the worker."""

from collections.abc import Callable
from datetime import datetime, timedelta

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import PROPERTY, Command, derived_id, encode

LATER = timedelta(seconds=2)


class CommandPostponer:
    """Schedules commands. `now` returns aware times."""

    def __init__(self, bus: ServiceBusClient, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._now = now

    async def postpone(self, command: Command) -> None:
        """Send the command again, to be delivered LATER; return when the broker has it. Raises ServiceBusError."""
        now = self._now()
        message = ServiceBusMessage(
            b"",
            message_id=derived_id("postponed", command.id, now.isoformat()),
            subject=command.type,
            application_properties={PROPERTY: encode(command).decode()},
        )
        async with self._bus.get_queue_sender(SONG_COMMANDS) as sender:
            await sender.schedule_messages(message, now + LATER)
