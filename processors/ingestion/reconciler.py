"""The reconciler: repairs what a crash left between two steps.

It finds events in an outbox, uploads without a command, dead letters whose ingestion doesn't say so, and unused bytes.
"""

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
from songline.processors.ingestion.transitions import died, overdue
from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import Command, IngestSong
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import Ingestion
from songline.schemas.types import ID_PATTERN

logger = logging.getLogger("ingestion.reconciler")

PEEKED = 20
_ID = re.compile(ID_PATTERN)


class ReconcilerConfig(Struct, frozen=True):
    """The times without a change after which the reconciler acts; `every` is the period of its rounds.

    `unpublished` is for an event in an outbox, `silent` for a command before the dead letters are searched for it,
    `unfinished` for an upload, `lost` for a command that can't be found, `staged` for an unused staged file, `removed`
    for the bytes of a removed song. `staged` must be longer than the queue's time to live of a command.
    """

    every: timedelta = timedelta(minutes=1)
    unpublished: timedelta = timedelta(minutes=1)
    silent: timedelta = timedelta(minutes=2)
    unfinished: timedelta = timedelta(hours=1)
    lost: timedelta = timedelta(hours=6)
    staged: timedelta = timedelta(days=2)
    removed: timedelta = timedelta(hours=1)


class ReconcilerCounts(Struct):
    """The numbers of repairs in one round."""

    published: int = 0
    dead: int = 0
    overdue: int = 0
    erased: int = 0
    unstaged: int = 0


class Reconciler:
    """Runs rounds of repairs. Several may run at a time: each step is one that a worker may take too."""

    def __init__(
        self,
        bus: ServiceBusClient,
        ingestions: IngestionStore,
        audio: AudioStore,
        work: CommandRunner,
        now: Callable[[], datetime],
        config: ReconcilerConfig,
        clock_is_right: Callable[[], bool] = lambda: True,
    ) -> None:
        self._bus = bus
        self._ingestions = ingestions
        self._audio = audio
        self._work = work
        self._now = now
        self._config = config
        self._clock_is_right = clock_is_right

    async def run(self, stop: asyncio.Event) -> None:
        """Run a round every `every` until `stop`. A round that fails is left to the next."""
        while not stop.is_set():
            try:
                # With a wrong clock, an ingestion that began a minute ago may look overdue.
                tally = await self.round() if self._clock_is_right() else ReconcilerCounts()
                if tally != ReconcilerCounts():
                    logger.info("mended: %s", tally)
            except (AzureError, EventHubError) as error:
                logger.warning("a round was cut short: %s: %s", type(error).__name__, error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._config.every.total_seconds())

    async def round(self) -> ReconcilerCounts:
        """Run one round; return what it repaired."""
        tally = ReconcilerCounts()
        await self._publish(tally)
        await self._give_up_silent(tally)
        tally.erased += await erase_removed(self._ingestions, self._audio, self._now(), self._config.removed)
        await self._unstage(tally)
        return tally

    async def _publish(self, tally: ReconcilerCounts) -> None:
        async for stored in self._ingestions.unpublished(self._now() - self._config.unpublished):
            await self._work.publish(stored)
            tally.published += len(stored.ingestion.outbox) if stored.ingestion else 0

    async def _give_up_silent(self, tally: ReconcilerCounts) -> None:
        silent = await self._ingestions.stuck(self._now() - self._config.silent)
        dead_letters = await self._dead_letters({ingestion.id for ingestion in silent}) if silent else {}
        for ingestion in silent:
            if ingestion.id in dead_letters:
                command, text = dead_letters[ingestion.id]
                step = partial(died, command=command, text=text, now=self._now())
                await self._ingestions.amend(await self._ingestions.find(ingestion.id), step)
                tally.dead += 1
                continue
            after = await self._ingestions.amend(await self._ingestions.find(ingestion.id), self._overdue)
            tally.overdue += after.ingestion is not None and after.ingestion.state in ("rejected", "dead")

    def _overdue(self, known: Ingestion) -> Ingestion:
        return overdue(known, self._now(), self._config.unfinished, self._config.lost)

    async def _dead_letters(self, wanted: set[str]) -> dict[str, tuple[Command, str]]:
        """The commands of the `wanted` ingestions that are dead letters, with the reason, by ingestion id."""
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
        async for name in self._audio.staged(self._now() - self._config.staged):
            if await self._is_wanted(name):
                continue
            try:
                await self._audio.unstage(name)
            except HttpResponseError as error:
                # A foreign name may not be valid in a URL.
                logger.warning("the staged file %r can't be deleted: %s", name, error.message)
            else:
                tally.unstaged += 1

    async def _is_wanted(self, name: str) -> bool:
        """Whether an ingestion may still need the staged file `name`. No ingestion needs one whose name is no id."""
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
