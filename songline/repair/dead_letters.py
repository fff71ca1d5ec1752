"""Reads, resubmits and discards the dead letters of `song-commands`."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError
from msgspec import Struct, structs

from songline.cloud.servicebus import peeked
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.command_message import body_of, command_of
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.repair.audit import AuditEntry, AuditLog
from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import Command, ImportHistory, IngestSong, RemoveSong, derived_id
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import Ingestion, Reason, State, Transition
from songline.schemas.types import Moment

PEEKED = 20
WAIT_S = 2.0
# The application properties that the broker adds to a dead letter.
_BROKER_PROPERTIES = ("DeadLetterReason", "DeadLetterErrorDescription")


class DeadLetter(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A dead letter: `number` is its sequence number, `tries` its delivery count, `size` its body's size in bytes.

    The fields from `command_id` on describe the command in it. They are None if it holds no valid command.
    """

    number: int
    message_id: str | None
    reason: str | None
    description: str | None
    tries: int
    sent_at: Moment | None
    size: int
    command_id: str | None = None
    command_type: str | None = None
    user_id: str | None = None
    file_name: str | None = None
    song_id: str | None = None
    blob: str | None = None


LOST = (
    "its lock ended before anything was done, and another one may have it by now: see `songline dlq list`, and repeat"
)


class NoBlobsError(Exception):
    """A staged file can't be deleted because Blob Storage is not configured. The operator sets its address."""


class DeadLetters:
    """Reads dead letters, and removes them by resubmission or for good.

    Each change writes an audit entry first. Each change may be repeated after a crash. Methods raise AzureError (of
    azure.core).
    """

    def __init__(
        self,
        bus: ServiceBusClient,
        ingestions: IngestionStore,
        audio: AudioStore | None,
        audit: AuditLog,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        by: str,
    ) -> None:
        self._bus, self._ingestions, self._audio, self._audit = bus, ingestions, audio, audit
        self._now, self._new_id, self._by = now, new_id, by

    async def read(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        async with self._receiver() as receiver:
            return [dead_letter_of(message) async for message in peeked(receiver, PEEKED)]

    async def resubmit(self, numbers: set[int], note: str | None) -> AsyncIterator[tuple[DeadLetter, str]]:
        """Send the dead letters with these numbers again.

        Each is sent under a new message id, because the broker would drop an id that it remembers. Yields each with the
        reason why it was not sent, empty if it was: its body holds no bytes, and it stays a dead letter, or its lock
        has ended, and another operator may have it.
        """
        async with self._receiver() as receiver, self._bus.get_queue_sender(SONG_COMMANDS) as sender:
            async for message in _taken(receiver, numbers):
                letter = dead_letter_of(message)
                try:
                    await self._resubmit(receiver, sender, message, letter, note)
                except PoisonError as error:
                    await receiver.abandon_message(message)
                    yield letter, f"{error}; discard it"
                    continue
                except MessageLockLostError:
                    yield letter, LOST
                    continue
                await receiver.complete_message(message)
                yield letter, ""

    async def discard(self, numbers: set[int], note: str | None) -> AsyncIterator[tuple[DeadLetter, str]]:
        """Delete the dead letters with these numbers, record it in their ingestions, and delete their staged files.

        Yields each with the reason why it was not, empty if it was. Raises NoBlobsError.
        """
        async with self._receiver() as receiver:
            async for message in _taken(receiver, numbers):
                letter = dead_letter_of(message)
                if letter.blob is not None and self._audio is None:
                    raise NoBlobsError(
                        f"dead letter {letter.number} has a staged file, {letter.blob}, and Blob Storage is not "
                        "configured: set its connection string or endpoint, so that the file can be deleted"
                    )
                await self._audit.write(self._line("discard", letter, None, note))
                try:
                    # Another operator may have sent it again since, and a worker needs its file.
                    await receiver.renew_message_lock(message)
                except MessageLockLostError:
                    yield letter, LOST
                    continue
                await self._record(message, partial(discarded, note=note, now=self._now()))
                if letter.blob is not None and self._audio is not None:
                    await self._audio.unstage(letter.blob)
                await receiver.complete_message(message)
                yield letter, ""

    async def _resubmit(
        self,
        receiver: ServiceBusReceiver,
        sender: ServiceBusSender,
        message: ServiceBusReceivedMessage,
        letter: DeadLetter,
        note: str | None,
    ) -> None:
        # A repetition after a crash gives the same id, so the broker takes the message once within its window.
        new_id = derived_id("resubmit", letter.message_id or "", str(letter.number))
        sent = again(message, new_id)
        await self._audit.write(self._line("resubmit", letter, new_id, note))
        # This process may have been stopped for longer than the lock: the letter may be another operator's by now, and
        # its uploader erased.
        await receiver.renew_message_lock(message)
        await sender.send_messages(sent)
        await self._record(message, partial(resent, now=self._now()))

    async def _record(self, message: ServiceBusReceivedMessage, step: Callable[[Ingestion], Ingestion]) -> None:
        """Apply `step` to the ingestion of the message's command, if there is one."""
        command = _command(message)
        if command is None or not isinstance(command.data, IngestSong):
            return
        await self._ingestions.amend(await self._ingestions.find(command.id), step)

    def _receiver(self) -> ServiceBusReceiver:
        return self._bus.get_queue_receiver(SONG_COMMANDS, sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    def _line(self, action: str, letter: DeadLetter, new_message_id: str | None, note: str | None) -> AuditEntry:
        return AuditEntry(
            id=self._new_id(),
            subject=SONG_COMMANDS,
            at=self._now(),
            by=self._by,
            action=action,
            number=letter.number,
            message_id=letter.message_id,
            command_id=letter.command_id,
            died_of=letter.reason,
            new_message_id=new_message_id,
            note=note,
        )


def dead_letter_of(message: ServiceBusReceivedMessage) -> DeadLetter:
    """The dead letter in a message."""
    letter = DeadLetter(
        number=message.sequence_number or 0,
        message_id=message.message_id,
        reason=message.dead_letter_reason,
        description=message.dead_letter_error_description,
        tries=message.delivery_count or 0,
        sent_at=message.enqueued_time_utc,
        size=_size(message),
    )
    command = _command(message)
    if command is None:
        return letter
    letter = structs.replace(letter, command_id=command.id, command_type=command.type, user_id=command.data.user_id)
    if isinstance(command.data, IngestSong):
        return structs.replace(letter, file_name=command.data.file_name, blob=command.data.upload.blob)
    if isinstance(command.data, ImportHistory):
        return structs.replace(letter, blob=command.data.upload.blob)
    return structs.replace(letter, song_id=command.data.song_id) if isinstance(command.data, RemoveSong) else letter


def again(message: ServiceBusReceivedMessage, message_id: str) -> ServiceBusMessage:
    """The message as it was first sent, with the id `message_id`; raises PoisonError if its body holds no bytes."""
    properties = {
        name.decode(errors="replace") if isinstance(name, bytes) else name: value
        for name, value in (message.application_properties or {}).items()
    }
    return ServiceBusMessage(
        b"".join(body_of(message)),
        message_id=message_id,
        subject=message.subject,
        content_type=message.content_type,
        application_properties={name: value for name, value in properties.items() if name not in _BROKER_PROPERTIES},
    )


def resent(ingestion: Ingestion, now: datetime) -> Ingestion:
    """The ingestion after its command was sent again: queued, unless a worker has changed its state already."""
    return _moved(ingestion, "queued", now, None) if ingestion.state == "dead" else ingestion


def discarded(ingestion: Ingestion, note: str | None, now: datetime) -> Ingestion:
    """The ingestion after its command was discarded: dead with the reason `note`, unless it is settled."""
    if ingestion.settled:
        return ingestion
    text = f"It was given up{f': {note}' if note else ''}. Send the file again."
    return _moved(ingestion, "dead", now, Reason(cause="failed", text=text))


def _moved(ingestion: Ingestion, state: State, now: datetime, reason: Reason | None) -> Ingestion:
    history = (*ingestion.history, Transition(state=state, at=now, reason=reason))
    return structs.replace(ingestion, state=state, updated_at=now, reason=reason, history=history)


def _command(message: ServiceBusReceivedMessage) -> Command | None:
    try:
        return command_of(message)
    except PoisonError:
        return None


def _size(message: ServiceBusReceivedMessage) -> int:
    try:
        return sum(map(len, body_of(message)))
    except PoisonError:
        return 0


async def _taken(receiver: ServiceBusReceiver, numbers: set[int]) -> AsyncIterator[ServiceBusReceivedMessage]:
    """The messages with these numbers, locked. Other messages stay locked until these are found, and are abandoned."""
    wanted, seen = set(numbers), set[int]()
    others: list[ServiceBusReceivedMessage] = []
    try:
        while wanted:
            fresh = False
            for message in await receiver.receive_messages(PEEKED, max_wait_time=WAIT_S):
                number = message.sequence_number or 0
                # A message that comes a second time, because its lock expired, ends the search.
                fresh |= number not in seen
                seen.add(number)
                if number in wanted:
                    wanted.discard(number)
                    yield message
                else:
                    others.append(message)
            if not fresh:
                return
    finally:
        for message in others:
            with suppress(ServiceBusError):
                await receiver.abandon_message(message)
