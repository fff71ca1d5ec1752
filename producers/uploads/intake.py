"""The intake of uploads, from the first byte until the broker has the command. An accepted upload is never lost."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from azure.storage.blob.aio import ContainerClient
from msgspec import Struct

from songline.producers.http.admission import NoSlotError, UploadSlots
from songline.producers.http.body_pacing import BodyPaceConfig, BodyPaceMeter
from songline.producers.http.callers import Callers
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.producers.uploads.command_sender import CommandSender
from songline.producers.uploads.incoming_file import IncomingFile
from songline.producers.uploads.staging import StagedFile
from songline.producers.uploads.upload_record import UploadRecords, awaits_command
from songline.schemas.commands import Command, IngestSong, Metadata, RemoveSong, Upload, derived_id
from songline.schemas.errors import ContractViolationError, Violation
from songline.schemas.ingestions import Ingestion, Transition

logger = logging.getLogger("songline.producers.uploads.intake")

SOURCE = "/producers/api"
RETRY_AFTER_S = 2
RETRY_LATER_S = 10
_KEY = re.compile(r"^[\x21-\x7e]{1,255}$(?!\n)")


class UploadLimits(Struct, frozen=True):
    """The limits of concurrent uploads.

    `uploads` files at a time, `each` of them from one caller (half of all by default). `pace` is the slowest allowed
    sender. A service without an answer for `patience_s` seconds counts as away.
    """

    uploads: int = 16
    each: int | None = None
    patience_s: float = 10.0
    pace: BodyPaceConfig = BodyPaceConfig()
    callers: Callers = Callers()


class UploadIntake:
    """Takes files and sends their commands. `now` returns aware times, `new_id` an id for an upload without a key."""

    def __init__(
        self,
        sender: CommandSender,
        container: ContainerClient,
        records: UploadRecords,
        limits: UploadLimits,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._sender, self._container, self._records, self._limits = sender, container, records, limits
        self._now, self._new_id = now, new_id
        self._slots = UploadSlots(limits.uploads, limits.each or max(1, limits.uploads // 2))

    @contextmanager
    def slot(self, caller: str | None, meter: BodyPaceMeter, now: Callable[[], float]) -> Iterator[None]:
        """Hold a slot for an upload of `caller` while the context lasts.

        Raises RequestDeclinedError (503) if there is none, before any of the body is read.
        """
        try:
            with self._slots.occupied(caller, meter, now):
                yield
        except NoSlotError as error:
            raise RequestDeclinedError(503, "Too many uploads", f"{error}. Try again later.", RETRY_AFTER_S) from None

    async def begin(self, user_id: str, key: str | None) -> "OpenUpload":
        """Open an upload; raises RequestDeclinedError and ContractViolationError."""
        ingestion_id = self._id("ingestion", user_id, key)
        with reachable():
            room = await self._sender.room()
        staged = StagedFile(self._container, ingestion_id, self._limits.patience_s)
        return OpenUpload(ingestion_id, user_id, self._now(), IncomingFile(staged, room))

    async def accept(
        self, uploading: "OpenUpload", content_type: str, file_name: str | None, metadata: Metadata
    ) -> Ingestion:
        """Send the upload's command, and return its ingestion when the broker has the command.

        If the same upload was accepted before, returns its current ingestion. Raises RequestDeclinedError.
        """
        with reachable():
            await uploading.arrival.end()
            return await self._accept(uploading, content_type, file_name, metadata)

    async def _accept(
        self, uploading: "OpenUpload", content_type: str, file_name: str | None, metadata: Metadata
    ) -> Ingestion:
        arrival = uploading.arrival
        upload = Upload(
            sha256=arrival.sha256,
            size=arrival.size,
            content_type=content_type,
            blob=uploading.id if arrival.is_staged else None,
        )
        received = Ingestion(
            id=uploading.id,
            user_id=uploading.user_id,
            state="received",
            received_at=uploading.since,
            updated_at=self._now(),
            upload=upload,
            file_name=file_name,
            metadata=metadata,
            history=(Transition(state="received", at=uploading.since),),
        )
        # The document binds an id to its bytes, so it is written before they are committed.
        record = await self._records.open(received)
        known = record.ingestion
        if (known.user_id, known.upload.sha256, known.metadata) != (uploading.user_id, upload.sha256, metadata):
            raise RequestDeclinedError(
                422,
                "Idempotency-Key used before",
                "Another file, or the same with other metadata, was sent with this Idempotency-Key, or its uploader "
                "was forgotten since: expected a new key, or the same upload again.",
            )
        if not awaits_command(known):
            return known
        order = IngestSong(user_id=known.user_id, upload=upload, file_name=known.file_name, metadata=metadata)
        command = Command(id=known.id, source=SOURCE, time=known.received_at, data=order)
        await arrival.commit()
        await self._sender.send(command, arrival.body, _message_id(known))
        try:
            return await self._records.queued(record, self._now())
        except TransientError as error:
            # The broker has the command, so the upload is safe. The worker updates the document.
            logger.warning("%s is queued, and its document could not be updated: %s", known.id, error)
            return known

    async def remove(self, user_id: str, song_id: str, key: str | None) -> Ingestion | None:
        """Send the command that removes a song; return its ingestion, None if the song is only in the catalog.

        Raises RequestDeclinedError and ContractViolationError.
        """
        command_id = self._id(f"removal of {song_id}", user_id, key)
        with reachable():
            known = await self._records.read(song_id)
            owner, gone = _standing(known) if known else await self._announced(song_id)
            if owner not in (None, user_id):
                raise RequestDeclinedError(
                    403, "Not your song", f"Song {song_id} is not {user_id}'s: only its uploader removes it."
                )
            if not gone:
                order = RemoveSong(user_id=user_id, song_id=song_id)
                await self._sender.send(Command(id=command_id, source=SOURCE, time=self._now(), data=order))
        return known

    async def _announced(self, song_id: str) -> tuple[str | None, bool]:
        """The owner of a song that is only in the catalog, and whether it is removed.

        The owner is None if it is unknown. Raises RequestDeclinedError.
        """
        found = await self._records.in_catalog(song_id)
        if found is None or found.latest is None:
            raise _unknown(song_id)
        return found.owner, found.song is None

    def _id(self, kind: str, user_id: str, key: str | None) -> str:
        if key is None:
            return self._new_id()
        if not _KEY.search(key):
            raise ContractViolationError(
                Violation("Idempotency-Key", repr(key[:100]), "1 to 255 printable ASCII characters")
            )
        return derived_id(kind, user_id, key)


class OpenUpload:
    """An open upload, as a context manager: a file that is not accepted within it is deleted at its end."""

    def __init__(self, ingestion_id: str, user_id: str, since: datetime, arrival: IncomingFile) -> None:
        self.id, self.user_id, self.since, self.arrival = ingestion_id, user_id, since, arrival

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.arrival.leave()

    async def write(self, piece: bytes) -> None:
        """Take the file's next bytes; raises RequestDeclinedError."""
        with reachable():
            await self.arrival.write(piece)


def _standing(known: Ingestion) -> tuple[str | None, bool]:
    """The owner of an uploaded song, and whether it is removed; raises RequestDeclinedError."""
    if known.state == "rejected" and known.removed_at is None:
        raise _unknown(known.id)
    return known.user_id, known.removed_at is not None


def _unknown(song_id: str) -> RequestDeclinedError:
    return RequestDeclinedError(404, "No such song", f"There is no song {song_id}.")


def _message_id(known: Ingestion) -> str:
    """The id of the command's message: the ingestion's id, so that the broker takes the command once.

    A command that is sent again after the ingestion was dead or rejected gets a new id.
    """
    if known.state == "received":
        return known.id
    return derived_id("again", known.id, known.updated_at.isoformat())


@contextmanager
def reachable() -> Iterator[None]:
    """Turn a failure of a service into RequestDeclinedError (503), because the caller can't mend it."""
    try:
        yield
    except (TransientError, AccessDeniedError) as error:
        logger.warning("%s", error)
        raise RequestDeclinedError(
            503,
            "Uploads are not possible now",
            "A service that uploads need can't be reached. Nothing is promised: send it again later, and with the same "
            "Idempotency-Key if it had one.",
            RETRY_LATER_S,
        ) from error
