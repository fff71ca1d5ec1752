"""Carries out commands, step by step. Each step may be the last before a crash, and each may be repeated."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from azure.core.exceptions import ResourceNotFoundError

from songline.cloud.http_transport import Guard, unasked
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError
from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio
from songline.processors.ingestion.audio.sandbox import Sandbox
from songline.processors.ingestion.audio.spool import spool
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.catalog_reader import CatalogReader
from songline.processors.ingestion.erasure import erase_bytes
from songline.processors.ingestion.event_sender import Event, EventSender
from songline.processors.ingestion.ingestion_store import IngestionStore, StoredIngestion
from songline.processors.ingestion.transitions import (
    CommandRefusedError,
    decide,
    died,
    is_available,
    published,
    remove,
    withdraw,
)
from songline.processors.runtime.recent import RECENT, is_recent
from songline.schemas.commands import Command, IngestSong, RemoveSong, Upload
from songline.schemas.ingestions import Ingestion


class ImportCommands(Protocol):
    """Carries out the commands of imports."""

    async def carry_out(self, command: Command, check: Guard) -> None: ...

    async def give_up(self, command: Command, text: str) -> None: ...


class CommandRunner:
    """Carries out commands. `now` returns aware times. Files are in `folder` while they are examined. Without `imports`
    their commands are refused."""

    def __init__(
        self,
        ingestions: IngestionStore,
        catalog: CatalogReader,
        audio: AudioStore,
        outgoing: EventSender,
        sandbox: Sandbox,
        folder: Path,
        now: Callable[[], datetime],
        imports: ImportCommands | None = None,
    ) -> None:
        self._imports = imports
        self._ingestions = ingestions
        self._catalog = catalog
        self._audio = audio
        self._outgoing = outgoing
        self._sandbox = sandbox
        self._folder = folder
        self._now = now

    async def carry_out(self, command: Command, body: Iterable[bytes], check: Guard = unasked) -> Ingestion | None:
        """Carry out the command, and return its ingestion, None for a song that is only in the catalog, and for an
        import.

        `body` is the message's body, in pieces. `check` is asked before something is done that no document refuses
        where it comes late, and raises where another worker may have the command. Raises PoisonError or
        CommandRefusedError if no worker can ever do it, and the SDKs' errors if a service is away.
        """
        if isinstance(command.data, IngestSong):
            return await self._ingest(command, command.data.upload, body, check)
        if isinstance(command.data, RemoveSong):
            return await self._remove(command, command.data, check)
        if self._imports is None:
            raise CommandRefusedError("no-imports", "this worker takes no histories")
        await self._imports.carry_out(command, check)
        return None

    async def give_up(self, command: Command, text: str, check: Guard = unasked) -> None:
        """Record in the ingestion that its command becomes a dead letter because of `text`. `check` as of
        `carry_out`."""
        if isinstance(command.data, IngestSong):
            await self._ingestions.make(command.id, lambda known: died(known, command, text, self._now()), check)
        elif self._imports is not None and not isinstance(command.data, RemoveSong):
            await self._imports.give_up(command, text)

    async def publish(self, stored: StoredIngestion) -> StoredIngestion:
        """Publish the events in the outbox, and empty it. A crash in between publishes the same events again.

        What has left the outbox by then is not sent: another worker went on where this one was stopped. The song may
        have been removed since, or its uploader erased.
        """
        ingestion = stored.ingestion
        if ingestion is None or not ingestion.outbox:
            return stored
        await self._outgoing.publish(ingestion.outbox, partial(self._is_due, ingestion))
        return await self._ingestions.amend(stored, lambda known: published(known, ingestion.outbox))

    async def _is_due(self, ingestion: Ingestion, event: Event) -> bool:
        """Whether the event is in the outbox of the ingestion, as that is by now."""
        known: Ingestion | None = ingestion
        asked = ingestion.updated_at
        while not is_recent(asked, self._now(), RECENT):
            asked = self._now()
            known = await self._ingestions.read(ingestion.id)
        return known is not None and event in known.outbox

    async def _ingest(self, command: Command, upload: Upload, body: Iterable[bytes], check: Guard) -> Ingestion | None:
        began = self._now()
        stored = await self._ingestions.begin(command, began, check)
        begun = stored.ingestion
        if begun is not None and not begun.settled:
            finding = await self._examine(upload, body)
            stored = await self._ingestions.amend(stored, lambda known: decide(known, command, finding, self._now()))
            if isinstance(finding, ProbedAudio) and not is_available(stored.ingestion):
                await self._let_go(stored.ingestion, upload)
        is_sure = begun is not None and not begun.settled and is_recent(began, self._now(), RECENT)
        if is_available(stored.ingestion) and not is_sure and not await self._audio.touch(upload.sha256):
            # They were erased between being stored and the ingestion's being ready: from now on nobody erases them.
            await self._examine(upload, body)
        stored = await self.publish(stored)
        if upload.blob is not None:
            await self._audio.unstage(upload.blob)
        return stored.ingestion

    async def _let_go(self, ingestion: Ingestion | None, upload: Upload) -> None:
        """Erase the bytes that were stored for an upload that is no song, unless that is left to `erase_removed`.

        Its uploader removed it meanwhile, or was erased, while this worker was stopped: nobody else knows of them.
        """
        if ingestion is None or ingestion.removed_at is None or ingestion.erased_at is not None:
            await erase_bytes(self._ingestions, self._audio, upload.sha256)

    async def _remove(self, command: Command, order: RemoveSong, check: Guard) -> Ingestion | None:
        stored = await self._ingestions.find(order.song_id)
        if stored.ingestion is None:
            event = withdraw(await self._catalog.read(order.song_id), command)
            if event is not None:
                await self._outgoing.publish((event,), partial(_is_ours, check))
            return None
        stored = await self._ingestions.advance(stored, lambda known: remove(known, command, self._now()))
        return (await self.publish(stored)).ingestion

    async def _examine(self, upload: Upload, body: Iterable[bytes]) -> ProbedAudio | RefusedAudio:
        """Probe the file. If it is a song, its bytes are stored before this returns."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "upload"
            staged = None
            try:
                if upload.blob is None:
                    await spool(upload, _pieces(body), path)
                else:
                    staged = await self._audio.fetch(upload.blob)
                    await spool(upload, staged.pieces, path)
            except InvalidAudioError as invalid:
                return RefusedAudio(reason=invalid.reason)
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) == "ContainerNotFound":
                    raise
                text = "The uploaded file is not there any more. Send it again."
                return RefusedAudio(reason=InvalidAudioError("missing-upload", text).reason)
            finding = await self._sandbox.probe(path)
            if isinstance(finding, ProbedAudio):
                await self._audio.keep(upload.sha256, path, finding.content_type, staged)
            return finding


async def _is_ours(check: Guard, event: Event) -> bool:
    """True where the command still is this worker's. Raises what `check` raises."""
    await check()
    return True


async def _pieces(body: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece
