"""The archive: every file that names a listener is written anew without them, in its place."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import IO, Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, ContentSettings
from azure.storage.blob.aio import ContainerClient
from msgspec import structs

from songline.cloud.extras import load
from songline.processors.history.erasure.capture_progress import EXTRA
from songline.processors.history.erasure.job import ErasureJob, HeldRecord, NotYetError, StepResult
from songline.processors.history.erasure.rename import replaced_in
from songline.processors.history.erasure.rewriting import CaptureFileError, ForgottenUpTo, RewriteCounts
from songline.schemas.erasures import StepProgress, joined
from songline.schemas.forgotten import ForgottenNames

SPOOL_BYTES = 8 * 1024 * 1024
"""A file that is larger is on disk while it is read and written."""

LONGEST_WINDOW = timedelta(minutes=20)
"""Capture writes a file after 15 minutes at the latest. An archive that has none by now gets none of what was there."""

NO_ARCHIVE = "there is no archive"
FILES = "archive files"
RENAMED = "archived events"

DAMAGED, FOREIGN = "damaged file", "foreign file"
NAMED = 5
"""So many files are named in a sentence."""

FILES_MODULE = "songline.processors.history.erasure.capture_file"
PIECE_BYTES = 1024 * 1024
LONGEST_WORD = 512

Rewrite = Callable[[IO[bytes], IO[bytes], str, ForgottenNames, ForgottenUpTo | None], RewriteCounts]

Captured = Callable[[Mapping[str, int], datetime | None], Awaitable[str]]
"""Says in which partition of the hub that was created at a moment the archive has not passed a bound yet, as a
sentence; empty for none."""


class _ForeignFileError(Exception):
    """A blob that can't be read, and that no Capture has written. `names_them`: it has the listener's id as a word."""

    def __init__(self, *, names_them: bool) -> None:
        super().__init__()
        self.names_them = names_them


class CapturedFiles:
    """The Blob container `archive`. `behind` says whether Capture has written all of the listener's events;
    `partition_of`, of which partition of the hub a file is, None for a file of something else."""

    name = "archive"

    def __init__(self, container: ContainerClient, behind: Captured, partition_of: Callable[[str], str | None]) -> None:
        self._container = container
        self._behind = behind
        self._partition_of = partition_of

    async def run(self, job: ErasureJob) -> StepResult:
        """Rewrite the files one after the other; after a crash it goes on behind the last that is recorded.

        A file is replaced in one step, under the ETag that it was read with: what reads it has it as it was or as it
        is then. One that was being replaced when a worker was killed may be counted twice. A blob that no Capture has
        written is left as it is, and named where it names the listener. Raises NotYetError while Capture has not passed
        the bounds, and where a file of Capture can't be read, once all others are done.
        """
        if not await self._exists():
            return StepResult({}, NO_ARCHIVE)
        if sentence := await self._behind(job.bounds, job.erasure.hub_created_at):
            began = job.erasure.begun_at or job.now()
            if job.now() - began > LONGEST_WINDOW and not [blob async for blob in self._blobs()]:
                return StepResult({}, NO_ARCHIVE)
            raise NotYetError(sentence)
        rewrite: Rewrite = load(FILES_MODULE, EXTRA).rewrite  # type: ignore[attr-defined]
        progress, damaged, foreign = job.progress(self.name), dict[str, str](), list[str]()
        async for blob in self._blobs():
            if blob.name <= progress.last and blob.name not in progress.unreadable:
                continue
            unreadable, before = {*progress.unreadable} - {blob.name}, progress

            async def count(counts: RewriteCounts, before: StepProgress = before) -> None:
                nonlocal progress
                renamed = {FILES: 1, RENAMED: counts.renamed}
                progress = structs.replace(before, counts=joined((before.counts, renamed)))
                await job.record(progress)

            try:
                await self._rewrite(blob.name, rewrite, job, count)
            except CaptureFileError as error:
                damaged[blob.name] = str(error)
                unreadable.add(blob.name)
            except _ForeignFileError as error:
                if error.names_them:
                    foreign.append(blob.name)
                    unreadable.add(blob.name)
            progress = structs.replace(
                progress,
                last=max(progress.last, blob.name),
                unreadable=tuple(sorted(unreadable)),
            )
            await job.record(progress)
        if damaged:
            raise NotYetError(_to_mend(damaged))
        return StepResult(progress.counts, _to_look_at([replaced_in(name, job.user_id, "*") for name in foreign]))

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The listener's events in the archive, and the files that can't be read: those that are damaged, and those of
        somebody else that name the listener."""
        # Loaded late: a worker of a hub needs no reader of archives, and may not have one.
        files: Any = load(FILES_MODULE, EXTRA)
        if not await self._exists():
            return
        async for blob in self._blobs():
            with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as file:
                if await self._download(blob.name, file) is None:
                    continue
                records, error = await asyncio.to_thread(_records_naming, files, file, user_id)
                for record in records:
                    position = record.get("SequenceNumber")
                    value = {
                        "file": blob.name,
                        "position": position,
                        "enqueuedAt": str(record.get("EnqueuedTimeUtc")),
                        "body": files.body_of(record).decode("utf-8", "replace"),
                    }
                    yield HeldRecord(place=self.name, kind="event", id=f"{blob.name}:{position}", value=value)
                if error is None:
                    continue
                is_ours = self._partition_of(blob.name) is not None
                if is_ours or await asyncio.to_thread(_names_in_clear, file, user_id):
                    kind, value = DAMAGED if is_ours else FOREIGN, {"file": blob.name, "why": str(error)}
                    yield HeldRecord(place=self.name, kind=kind, id=blob.name, value=value)

    def _up_to(self, name: str, job: ErasureJob) -> ForgottenUpTo | None:
        """Up to where the listener is forgotten in a file; None for all of it. Of a partition that the hub got since,
        nothing is from before."""
        partition, created_at = self._partition_of(name), job.erasure.hub_created_at
        if partition is None or created_at is None:
            return None
        return ForgottenUpTo(job.bounds.get(partition, -1), int(created_at.timestamp() // 1))

    async def _rewrite(
        self, name: str, rewrite: Rewrite, job: ErasureJob, count: Callable[[RewriteCounts], Awaitable[None]]
    ) -> None:
        """Replace a file that has anything of the listener. `count` is awaited before: once it is replaced, a worker
        that goes on after a crash finds nothing of theirs, and the index would stay as it was made of the former file.
        """
        up_to = self._up_to(name, job)
        while True:
            with (
                tempfile.SpooledTemporaryFile(SPOOL_BYTES) as source,
                tempfile.SpooledTemporaryFile(SPOOL_BYTES) as target,
            ):
                properties = await self._download(name, source)
                if properties is None or not properties.size:
                    return
                # Its own thread: reading a large file takes seconds, and others' work goes on meanwhile.
                try:
                    counts = await asyncio.to_thread(rewrite, source, target, job.user_id, job.names, up_to)
                except CaptureFileError:
                    if self._partition_of(name) is not None:
                        raise
                    named = await asyncio.to_thread(_names_in_clear, source, job.user_id)
                    raise _ForeignFileError(names_them=named) from None
                if not counts.renamed:
                    return
                await count(counts)
                size = target.tell()
                target.seek(0)
                settings = properties.content_settings
                try:
                    await self._container.get_blob_client(name).upload_blob(
                        target,
                        length=size,
                        overwrite=True,
                        metadata=properties.metadata,
                        content_settings=ContentSettings(content_type=settings.content_type),
                        etag=properties.etag,
                        match_condition=MatchConditions.IfNotModified,
                    )
                except ResourceModifiedError:
                    continue
                return

    async def _download(self, name: str, target: IO[bytes]) -> BlobProperties | None:
        """The properties of a file that is now in `target`, None where it has gone."""
        try:
            download = await self._container.download_blob(name)
            await download.readinto(target)
        except ResourceNotFoundError:
            return None
        target.seek(0)
        properties: BlobProperties = download.properties
        return properties

    async def _exists(self) -> bool:
        try:
            await self._container.get_container_properties()
        except ResourceNotFoundError:
            return False
        return True

    async def _blobs(self) -> AsyncIterator[BlobProperties]:
        async for blob in self._container.list_blobs():
            yield blob


def _records_naming(
    files: Any, file: IO[bytes], user_id: str
) -> tuple[list[Mapping[str, Any]], CaptureFileError | None]:
    """The records of a file that are of the listener or name them, and why there are no more, None at its end."""
    found: list[Mapping[str, Any]] = []
    try:
        found.extend(files.records_naming(file, user_id))
    except CaptureFileError as error:
        return found, error
    return found, None


def _names_in_clear(file: IO[bytes], user_id: str) -> bool:
    """Whether the bytes of a file have the listener's id as a word."""
    file.seek(0)
    before = ""
    while piece := file.read(PIECE_BYTES).decode("latin-1"):
        text = before + piece
        if replaced_in(text, user_id, "") != text:
            return True
        before = text[-LONGEST_WORD:]
    return False


def _to_mend(damaged: Mapping[str, str]) -> str:
    named = "; ".join(f"{name}: {why}" for name, why in list(damaged.items())[:NAMED])
    return (
        f"{len(damaged):,} files of the archive can't be read, and may have events of theirs: {named}. Restore each "
        "from a backup, or delete it. All others are done, and the erasure goes on by itself then"
    )


def _to_look_at(foreign: Sequence[str]) -> str:
    if not foreign:
        return ""
    named = ", ".join(foreign[:NAMED])
    return f"{len(foreign):,} blobs that no Capture has written name them, and were left as they are: {named}"
