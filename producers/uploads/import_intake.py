"""The intake of histories: a file is staged, recorded, and handed to the broker as a command."""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from azure.storage.blob.aio import ContainerClient
from msgspec import Struct, structs

from songline.producers.http.problems import RequestDeclinedError
from songline.producers.uploads.command_sender import CommandSender
from songline.producers.uploads.import_records import ImportRecord, ImportRecords
from songline.producers.uploads.incoming_file import IncomingFile
from songline.producers.uploads.intake import SOURCE, OpenUpload, reachable
from songline.producers.uploads.staging import StagedFile
from songline.schemas.commands import Command, ImportHistory, UndoImport, Upload, derived_id
from songline.schemas.imports import ENDED, TAKEN_BACK, HistoryImport, ImportCounts, import_id_of

logger = logging.getLogger("songline.producers.uploads.import_intake")


class ImportWish(Struct, frozen=True, kw_only=True):
    """How a history is to be read: the zone of its local times, and whether it is only to be said what would come."""

    timezone: str = "UTC"
    dry_run: bool = False
    file_name: str | None = None


class ImportIntake:
    """Takes histories. `now` returns aware times, `new_id` a new id."""

    def __init__(
        self,
        sender: CommandSender,
        container: ContainerClient,
        records: ImportRecords,
        patience_s: float,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._sender, self._container, self._records, self._patience_s = sender, container, records, patience_s
        self._now, self._new_id = now, new_id

    def begin(self, user_id: str) -> OpenUpload:
        """Open a file, which is always staged: a message that dies is kept, and a history may hold addresses."""
        staged_id = self._new_id()
        staged = StagedFile(self._container, staged_id, self._patience_s)
        return OpenUpload(staged_id, user_id, self._now(), IncomingFile(staged, room=0))

    async def accept(self, uploading: OpenUpload, content_type: str, wish: ImportWish) -> HistoryImport:
        """Send the import's command, and return the import when the broker has it. Raises RequestDeclinedError.

        The same file again repeats its import, unless that was taken back: then it is a new one. An import that is
        running goes on.
        """
        with reachable():
            arrival = uploading.arrival
            await arrival.end()
            if not arrival.is_staged:
                raise RequestDeclinedError(400, "Empty file", "The file has 0 bytes, expected a history.")
            upload = Upload(sha256=arrival.sha256, size=arrival.size, content_type=content_type, blob=uploading.id)
            record = await self._opened(uploading, upload, wish)
            if record.found.blob != uploading.id:
                return record.found
            await arrival.commit()
            order = ImportHistory(
                user_id=uploading.user_id,
                upload=upload,
                run=record.found.run,
                timezone=wish.timezone,
                dry_run=wish.dry_run,
            )
            await self._sender.send(
                Command(id=record.found.id, source=SOURCE, time=self._now(), data=order), message_id=uploading.id
            )
            return record.found

    async def find(self, import_id: str) -> HistoryImport | None:
        """The import; None if there is none. Raises RequestDeclinedError."""
        with reachable():
            record = await self._records.find(import_id)
            return None if record is None else record.found

    async def stop(self, found: HistoryImport) -> HistoryImport:
        """Stop the import where it is running; what it has taken stays. Raises RequestDeclinedError."""
        with reachable():
            record = await self._records.read(found.user_id, found.id)
            return found if record is None else (await self._records.change(record, self._stopping)).found

    async def undo(self, found: HistoryImport) -> HistoryImport:
        """Take the import back, whole. Raises RequestDeclinedError."""
        if found.dry_run:
            raise RequestDeclinedError(
                409, "Nothing to take back", f"Import {found.id} was a dry run: it took nothing."
            )
        with reachable():
            record = await self._records.read(found.user_id, found.id)
            if record is None or record.found.state == "undone":
                return found if record is None else record.found
            record = await self._records.change(record, self._undoing)
            command = Command(id=found.id, source=SOURCE, time=self._now(), data=UndoImport(user_id=found.user_id))
            message_id = derived_id("undo", found.id, record.found.updated_at.isoformat())
            await self._sender.send(command, message_id=message_id)
            return record.found

    async def _opened(self, uploading: OpenUpload, upload: Upload, wish: ImportWish) -> ImportRecord:
        """The import of the file, new or repeated: with this upload's blob where its command is to be sent."""
        generation = 0
        while True:
            import_id = self._new_id() if wish.dry_run else _id(uploading.user_id, upload, wish, generation)
            made = HistoryImport(
                id=import_id,
                user_id=uploading.user_id,
                state="queued",
                received_at=uploading.since,
                updated_at=self._now(),
                sha256=upload.sha256,
                size=upload.size,
                file_name=wish.file_name,
                timezone=wish.timezone,
                dry_run=wish.dry_run,
                blob=uploading.id,
            )
            record = await self._records.create(made)
            if record.found.blob == uploading.id:
                return record
            if record.found.state not in TAKEN_BACK:
                return await self._records.change(record, partial(_repeated, made))
            generation += 1

    def _stopping(self, found: HistoryImport) -> HistoryImport:
        if found.state not in ("queued", "running"):
            return found
        return structs.replace(found, state="stopping", updated_at=self._now())

    def _undoing(self, found: HistoryImport) -> HistoryImport:
        return found if found.state in TAKEN_BACK else structs.replace(found, state="undoing", updated_at=self._now())


def _id(user_id: str, upload: Upload, wish: ImportWish, generation: int) -> str:
    return import_id_of(user_id, upload.sha256, wish.timezone, generation)


def _repeated(made: HistoryImport, found: HistoryImport) -> HistoryImport:
    """The import, begun again where it is over; one whose command may be lost is sent again, with this file."""
    if found.state in ENDED and found.state not in TAKEN_BACK:
        return structs.replace(
            made, run=found.run + 1, received_at=found.received_at, file_name=made.file_name or found.file_name
        )
    if found.state == "queued":
        return structs.replace(found, blob=made.blob, updated_at=made.updated_at, counts=ImportCounts())
    return found
