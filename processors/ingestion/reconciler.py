"""Looks for what fell between two steps: events that stayed in an outbox, uploads without a command, commands that died
without a word, bytes that nobody needs."""

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import msgspec
from azure.core.exceptions import AzureError, HttpResponseError
from azure.eventhub.exceptions import EventHubError
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from msgspec import Struct

from songline.cloud.servicebus import peeked
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.command_message import command_of
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.erasure import erase_removed
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.processors.ingestion.transitions import overdue
from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import Command, IngestSong
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import Ingestion
from songline.schemas.types import ID_PATTERN

logger = logging.getLogger("ingestion.reconciler")

PEEKED = 20
_ID = re.compile(ID_PATTERN)


class ReconcilerConfig(Struct, frozen=True):
    """How long a thing may stay as it is before it is looked into.

    `unpublished` is for an event, `silent` for a command before the dead letters are searched for it, `unfinished` for
    an upload, `lost` for a command that is nowhere, `staged` for a file nobody asks for, `removed` for the bytes of a
    song that was taken away. `staged` must be longer than the queue keeps a command.
    """

    every: timedelta = timedelta(minutes=1)
    unpublished: timedelta = timedelta(minutes=1)
    silent: timedelta = timedelta(minutes=2)
    unfinished: timedelta = timedelta(hours=1)
    lost: timedelta = timedelta(hours=6)
    staged: timedelta = timedelta(days=2)
    removed: timedelta = timedelta(hours=1)


class ReconcilerCounts(Struct):
    """What one round found and mended."""

    published: int = 0
    dead: int = 0
    overdue: int = 0
    erased: int = 0
    unstaged: int = 0


class Reconciler:
    """Several may run at a time: each of their steps is one that a worker may take too."""

    def __init__(
        self,
        bus: ServiceBusClient,
        ingestions: IngestionStore,
        audio: AudioStore,
        work: CommandRunner,
        now: Callable[[], datetime],
        patience: ReconcilerConfig,
        clock_is_right: Callable[[], bool] = lambda: True,
    ) -> None:
        self._bus = bus
        self._ingestions = ingestions
        self._audio = audio
        self._work = work
        self._now = now
        self._patience = patience
        self._clock_is_right = clock_is_right

    async def run(self, stop: asyncio.Event) -> None:
        """A round at a time until `stop`; what fails is left to the next."""
        while not stop.is_set():
            try:
                # What is overdue by a wrong clock may have begun a minute ago.
                tally = await self.round() if self._clock_is_right() else ReconcilerCounts()
                if tally != ReconcilerCounts():
                    logger.info("mended: %s", tally)
            except (AzureError, EventHubError) as error:
                logger.warning("a round was cut short: %s: %s", type(error).__name__, error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._patience.every.total_seconds())

    async def round(self) -> ReconcilerCounts:
        tally = ReconcilerCounts()
        await self._publish(tally)
        await self._look_for_the_silent(tally)
        tally.erased += await erase_removed(self._ingestions, self._audio, self._now(), self._patience.removed)
        await self._unstage(tally)
        return tally

    async def _publish(self, tally: ReconcilerCounts) -> None:
        async for stored in self._ingestions.unpublished(self._now() - self._patience.unpublished):
            await self._work.publish(stored)
            tally.published += len(stored.ingestion.outbox) if stored.ingestion else 0

    async def _look_for_the_silent(self, tally: ReconcilerCounts) -> None:
        silent = await self._ingestions.stuck(self._now() - self._patience.silent)
        letters = await self._dead_letters({ingestion.id for ingestion in silent}) if silent else {}
        for ingestion in silent:
            if ingestion.id in letters:
                await self._work.give_up(*letters[ingestion.id])
                tally.dead += 1
                continue
            after = await self._ingestions.change(ingestion.id, partial(self._overdue, ingestion))
            tally.overdue += after.state in ("rejected", "dead")

    def _overdue(self, seen: Ingestion, known: Ingestion | None) -> Ingestion:
        return overdue(known or seen, self._now(), self._patience.unfinished, self._patience.lost)

    async def _dead_letters(self, wanted: set[str]) -> dict[str, tuple[Command, str]]:
        """Of the ingestions that are wanted, those whose command is among the dead letters: the command and why."""
        found: dict[str, tuple[Command, str]] = {}
        queue = self._bus.get_queue_receiver(SONG_COMMANDS, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        async with queue as receiver:
            async for letter in peeked(receiver, PEEKED):
                with suppress(PoisonError):
                    command = command_of(letter)
                    if isinstance(command.data, IngestSong) and command.id in wanted:
                        found[command.id] = command, _why(letter)
        return found

    async def _unstage(self, tally: ReconcilerCounts) -> None:
        async for name in self._audio.staged(self._now() - self._patience.staged):
            if await self._is_wanted(name):
                continue
            try:
                await self._audio.unstage(name)
            except HttpResponseError as error:
                # A name that somebody else gave it may have no address.
                logger.warning("the staged file %r can't be deleted: %s", name, error.message)
            else:
                tally.unstaged += 1

    async def _is_wanted(self, name: str) -> bool:
        """Whether an ingestion may still need the staged file `name`. One whose name is no id is nobody's."""
        if not _ID.search(name):
            return False
        try:
            ingestion = await self._ingestions.read(name)
        except msgspec.ValidationError:
            return True
        return ingestion is not None and ingestion.state not in ("ready", "rejected")


def _why(letter: ServiceBusReceivedMessage) -> str:
    match letter.dead_letter_reason:
        case "MaxDeliveryCountExceeded":
            return "It was begun too often and never finished: its workers stopped, or lost it, each time."
        case "TTLExpiredException":
            return "It waited too long in the queue."
        case reason:
            return letter.dead_letter_error_description or reason or "It was set aside without a reason."
