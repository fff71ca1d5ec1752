"""Uploads: the listener's songs, their ingestions, the commands that wait or died, and staged files."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError
from msgspec import structs

from songline.cloud.cosmos import OVERTAKEN
from songline.cloud.servicebus import peeked
from songline.processors.history.erasure.hub_bounds import HubEndState, SettledUploads
from songline.processors.history.erasure.job import CLOCKS, ErasureJob, HeldRecord, NotYetError, StepResult
from songline.processors.history.erasure.places.listener_imports import ListenerImports
from songline.processors.history.erasure.places.song_documents import SongDocuments
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.command_message import command_of
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.erasure import erase_bytes
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.processors.ingestion.transitions import CommandRefusedError, is_available
from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import Command, ImportHistory, IngestSong, RemoveSong, Upload
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import Ingestion

SOURCE = "/processors/history/erasure"
PEEKED = 20

WAIT_S = 2.0

_NO_FILE = Upload(sha256="0" * 64, size=1, content_type="application/octet-stream")

_OF_USER = "SELECT * FROM c WHERE c.userId = @user"


class Uploads:
    """The container `ingestions`, the queue `song-commands` with its dead letters, and the blobs of both kinds."""

    name = "uploads"

    def __init__(
        self,
        container: ContainerProxy,
        ingestions: IngestionStore,
        bus: ServiceBusClient,
        audio: AudioStore,
        imports: ListenerImports,
        runner: CommandRunner | None,
        catalog: SongDocuments,
        now: Callable[[], datetime],
    ) -> None:
        self._container, self._ingestions, self._bus = container, ingestions, bus
        self._audio, self._imports, self._runner = audio, imports, runner
        self._catalog, self._now = catalog, now

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """Ingestions, and commands in the queue and among the dead letters."""
        async for item in self._documents(user_id):
            value = {name: part for name, part in item.items() if not name.startswith("_")}
            yield HeldRecord(place=self.name, kind="ingestion", id=item["id"], value=value)
        for kind, sub_queue in (("command", None), ("dead letter", ServiceBusSubQueue.DEAD_LETTER)):
            async with self._receiver(sub_queue) as receiver:
                async for message in peeked(receiver, PEEKED):
                    command = _command(message)
                    if command is not None and command.data.user_id == user_id:
                        value = {"type": command.type, "time": command.time, **msgspec.to_builtins(command.data)}
                        key = str(message.sequence_number)
                        yield HeldRecord(place=self.name, kind=kind, id=key, value=msgspec.to_builtins(value))

    async def withdraw(self, job: ErasureJob) -> StepResult:
        """Remove the listener's songs if that is asked for, cancel what is not ready yet, and let go of the commands.

        Raises NotYetError while a command of theirs is in the queue.
        """
        assert self._runner is not None, "a worker carries out erasures"
        counts = {"songs removed": 0, "uploads cancelled": 0, "dead letters": 0}
        known = set()
        async for item in self._documents(job.user_id):
            ingestion = msgspec.convert(item, Ingestion)
            known.add(ingestion.id)
            if ingestion.outbox:
                await self._runner.publish(await self._ingestions.find(ingestion.id))
            if ingestion.removed_at is None and (job.songs == "remove" or ingestion.state != "ready"):
                is_removed = await self._remove(job, ingestion.id)
                counts["songs removed" if ingestion.state == "ready" else "uploads cancelled"] += is_removed
        if job.songs == "remove":
            for song_id in await self._catalog.owned(job.user_id):
                counts["songs removed"] += song_id not in known and await self._remove(job, song_id)
        counts["dead letters"] = await self._drop_dead_letters(job)
        async with self._receiver(None) as receiver:
            async for message in peeked(receiver, PEEKED):
                command = _command(message)
                if command is not None and command.data.user_id == job.user_id:
                    raise NotYetError(f"the command {command.id} of theirs is still in the queue {SONG_COMMANDS}")
        return StepResult(counts)

    async def settle(self, job: ErasureJob) -> SettledUploads:
        """Withdraw what came since; imports are over, since no command of theirs waits. Raises NotYetError."""
        withdrawn = sum((await self.withdraw(job)).counts.values())
        since, left, recent, imports = job.now() - CLOCKS, dict[str, str](), list[str](), list[str]()
        async for item in self._documents(job.user_id):
            ingestion = msgspec.convert(item, Ingestion)
            left[ingestion.id] = f"{ingestion.state} {ingestion.removed_at} {len(ingestion.outbox)}"
            if ingestion.received_at > since:
                recent.append(ingestion.id)
        async for known in self._imports.imports(job.user_id):
            left[known.id] = f"{known.state} {known.updated_at}"
            if known.received_at > since:
                imports.append(known.id)
        return SettledUploads(withdrawn, left, tuple(recent), tuple(imports))

    async def behind(self, hub: HubEndState) -> str:
        """Why it is not known yet which songs are theirs up to the hub's end, as a sentence; empty where it is."""
        return await self._catalog.behind(hub.bounds, hub.created_at)

    async def run(self, job: ErasureJob) -> StepResult:
        """Delete the listener's ingestions with what they stored; those of songs that stay become nobody's, and of
        songs that were removed the id is left. What they uploaded after the bounds were fixed is of a listener who
        began anew."""
        counts = {"ingestions": 0, "ingestions kept without an owner": 0, "songs' files": 0}
        async for item in self._documents(job.user_id):
            ingestion, etag = msgspec.convert(item, Ingestion), str(item["_etag"])
            if job.is_later(ingestion.id, ingestion.received_at, job.erasure.uploads):
                continue
            if not ingestion.settled and ingestion.state != "dead":
                raise NotYetError(f"upload {ingestion.id} is {ingestion.state}")
            options: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
            try:
                if is_available(ingestion):
                    ownerless = structs.replace(ingestion, user_id=job.names.of_song(ingestion.id), file_name=None)
                    await self._container.replace_item(ingestion.id, msgspec.to_builtins(ownerless), **options)
                    counts["ingestions kept without an owner"] += 1
                    continue
                await self._audio.unstage(ingestion.id)
                # Those of an upload that was cancelled, too: it may have been examined by then.
                outcome = await erase_bytes(self._ingestions, self._audio, ingestion.upload.sha256)
                if outcome == "busy":
                    raise NotYetError(f"another upload has the bytes of {ingestion.id}, and is being processed")
                counts["songs' files"] += outcome == "erased"
                if ingestion.removed_at is None:
                    await self._container.delete_item(ingestion.id, ingestion.id, **options)
                else:
                    emptied = emptied_ingestion(ingestion, job.names.of_song(ingestion.id), self._now())
                    await self._container.replace_item(ingestion.id, msgspec.to_builtins(emptied), **options)
                counts["ingestions"] += 1
            except OVERTAKEN:
                raise NotYetError(f"upload {ingestion.id} is being changed") from None
        # Those that are left came later.
        await job.change(lambda before: structs.replace(before, uploads=()))
        return StepResult(counts)

    async def _documents(self, user_id: str) -> AsyncIterator[dict[str, Any]]:
        parameters: list[dict[str, object]] = [{"name": "@user", "value": user_id}]
        try:
            found = [dict(item) async for item in self._container.query_items(_OF_USER, parameters=parameters)]
        except CosmosResourceNotFoundError:
            return
        for item in found:
            yield item

    async def _remove(self, job: ErasureJob, song_id: str) -> bool:
        """Carry out the removal of a song as its uploader's command; return whether there was anything to remove."""
        assert self._runner is not None
        order = RemoveSong(user_id=job.user_id, song_id=song_id)
        command = Command(id=f"{job.erasure.id}.{song_id}"[:128], source=SOURCE, time=self._now(), data=order)
        await job.check()
        try:
            await self._runner.carry_out(command, (), job.check)
        except CommandRefusedError:
            return False
        return True

    async def _drop_dead_letters(self, job: ErasureJob) -> int:
        """Complete the listener's dead letters, and delete their staged files. Others stay."""
        wanted: dict[int, Command] = {}
        async with self._receiver(ServiceBusSubQueue.DEAD_LETTER) as receiver:
            async for message in peeked(receiver, PEEKED):
                command = _command(message)
                if command is not None and command.data.user_id == job.user_id:
                    wanted[message.sequence_number or 0] = command
            dropped, seen, others = 0, set[int](), list[ServiceBusReceivedMessage]()
            try:
                while wanted.keys() - seen:
                    messages = await receiver.receive_messages(PEEKED, max_wait_time=WAIT_S)
                    numbers = {message.sequence_number or 0 for message in messages}
                    if not numbers - seen:
                        break
                    seen |= numbers
                    for message in messages:
                        found = wanted.get(message.sequence_number or 0)
                        if found is None:
                            others.append(message)
                            continue
                        await job.check()
                        if isinstance(found.data, IngestSong | ImportHistory) and found.data.upload.blob is not None:
                            await self._audio.unstage(found.data.upload.blob)
                        await receiver.complete_message(message)
                        dropped += 1
            finally:
                for message in others:
                    with suppress(ServiceBusError):
                        await receiver.abandon_message(message)
        if dropped < len(wanted):
            raise NotYetError(f"{len(wanted) - dropped} dead letters of theirs are held by somebody else")
        return dropped

    def _receiver(self, sub_queue: ServiceBusSubQueue | None) -> ServiceBusReceiver:
        if sub_queue is None:
            return self._bus.get_queue_receiver(SONG_COMMANDS)
        return self._bus.get_queue_receiver(SONG_COMMANDS, sub_queue=sub_queue)


def emptied_ingestion(ingestion: Ingestion, name: str, now: datetime) -> Ingestion:
    """What is left of the ingestion of a song that was removed, whose uploader becomes `name`.

    Its id can't be used again. In the catalog the song has an owner, who is gone: whoever uploaded it anew, by the same
    Idempotency-Key, would be told that it is there, and nobody would find it.
    """
    return Ingestion(
        id=ingestion.id,
        user_id=name,
        state=ingestion.state,
        received_at=ingestion.received_at,
        updated_at=now,
        upload=_NO_FILE,
        reason=ingestion.reason,
        song_id=ingestion.song_id,
        removed_at=ingestion.removed_at,
        erased_at=now,
    )


def _command(message: ServiceBusReceivedMessage) -> Command | None:
    try:
        return command_of(message)
    except PoisonError:
        return None
