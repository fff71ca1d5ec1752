"""The files of an archive as blobs: listed, read in part, and downloaded ahead of what is needed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from msgspec import Struct

from songline.cloud.concurrency import end_task
from songline.processors.history.archive.name_format import SUFFIX, FileName, NameFormat

AHEAD_PIECES = 2
"""Pieces of a file that wait to be read, at most; a piece has 4 MB at most, as `songline.cloud.blobs` asks for them."""
_UNCHANGED = MatchConditions.IfNotModified
TRIES = 5
MAX_OTHERS = 1_000
"""A file that is written anew while it is read is read again."""


class ArchiveFile(Struct, frozen=True):
    """A file of an archive as it is listed: its path, what its name says, its size, and the version of its content."""

    path: str
    name: FileName
    size_bytes: int
    etag: str


class ArchiveListing(Struct, frozen=True):
    """All of a container: the files of the hub, by moment and partition, and the names of blobs that no Capture writes,
    the first MAX_OTHERS."""

    files: list[ArchiveFile]
    others: tuple[str, ...]


class FileBytes(Protocol):
    """The bytes of a file, which come in while others are read."""

    def pieces(self) -> AsyncIterator[bytes | None]:
        """The pieces in their order; None where the file was written anew meanwhile and begins again."""

    async def close(self) -> None:
        """Stop reading."""


class ArchiveFiles(Protocol):
    """The files of one hub's archive."""

    async def list(self) -> list[ArchiveFile] | None:
        """All files, by moment and partition; None where there is no container."""

    def forget_listing(self) -> None:
        """Have the next listing be a new one, where an earlier one is kept."""

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        """At most `size` bytes of a file from `start` on; raises ResourceModifiedError where it has another ETag than
        `etag`."""

    def download(self, path: str) -> FileBytes:
        """A file's bytes."""


class BlobFiles:
    """The files of a hub in a blob container. Methods raise AzureError.

    `namespace`: only files of this namespace, None for any. With `keeps_listing`, files are listed once, until that is
    forgotten.
    """

    def __init__(
        self,
        container: ContainerClient,
        names: NameFormat,
        namespace: str | None = None,
        *,
        keeps_listing: bool = False,
    ) -> None:
        self._container = container
        self._keeps_listing = keeps_listing
        self._names = names
        self._namespace = namespace and namespace.lower()
        self._listing = asyncio.Lock()
        self._begun = self._shown = self._asking = 0
        """How many listings were begun, which of them `_found` is of, and how many callers wait for one."""
        self._found: list[ArchiveFile] | None = None

    async def list(self) -> list[ArchiveFile] | None:
        """All files, by moment and partition; None where there is no container.

        Those who ask at the same time, as all partitions of a rebuild do, share a listing that was begun after they
        asked.
        """
        before = self._begun
        self._asking += 1
        try:
            async with self._listing:
                if self._shown <= before and not (self._keeps_listing and self._shown):
                    self._begun += 1
                    number = self._begun
                    listing = await self._list(self._names.prefix or None)
                    self._found, self._shown = None if listing is None else listing.files, number
                return self._found
        finally:
            self._asking -= 1
            if not self._asking and not self._keeps_listing:
                self._found = None

    def forget_listing(self) -> None:
        """Have the next listing be a new one."""
        if self._keeps_listing:
            self._shown = 0

    async def survey(self) -> ArchiveListing | None:
        """All files, and what is beside them in the container; None where there is no container."""
        return await self._list(None)

    async def _list(self, prefix: str | None) -> ArchiveListing | None:
        found: list[ArchiveFile] = []
        others: list[str] = []
        try:
            async for blob in self._container.list_blobs(name_starts_with=prefix):
                name = self._names.parse(blob.name)
                if name is not None and self._namespace in (None, name.namespace.lower()):
                    found.append(ArchiveFile(blob.name, name, blob.size, blob.etag or ""))
                elif not blob.name.endswith(SUFFIX) and len(others) < MAX_OTHERS:
                    others.append(blob.name)
        except ResourceNotFoundError:
            return None
        return ArchiveListing(sorted(found, key=lambda file: (file.name, file.path)), tuple(others))

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        """At most `size` bytes of the file from `start` on; raises ResourceModifiedError where it has another ETag than
        `etag`."""
        if not size:
            # HTTP has no range of no bytes.
            return b""
        condition: dict[str, Any] = {} if etag is None else {"etag": etag, "match_condition": _UNCHANGED}
        part = await self._container.get_blob_client(path).download_blob(offset=start, length=size, **condition)
        data: bytes = await part.readall()
        return data

    def download(self, path: str) -> "Download":
        """The file's bytes, of which the first are asked for at once."""
        return Download(self._container, path)


class Download:
    """The bytes of a blob, which come in while others are read. Close it."""

    def __init__(self, container: ContainerClient, path: str) -> None:
        self._blob = container.get_blob_client(path)
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(AHEAD_PIECES)
        self._task = asyncio.create_task(self._run())

    async def pieces(self) -> AsyncIterator[bytes | None]:
        """The pieces in their order; None where the file was written anew meanwhile and begins again. Raises
        AzureError."""
        for attempt in range(TRIES):
            if attempt:
                yield None
            async for piece in self._received():
                if isinstance(piece, ResourceModifiedError) and attempt + 1 < TRIES:
                    self._task = asyncio.create_task(self._run())
                    break
                if isinstance(piece, Exception):
                    raise piece
                yield piece
            else:
                return

    async def close(self) -> None:
        """Stop downloading."""
        await end_task(self._task)

    async def _received(self) -> AsyncIterator[bytes | Exception]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
            if isinstance(piece, Exception):
                return

    async def _run(self) -> None:
        try:
            stream = await self._blob.download_blob()
            async for piece in stream.chunks():
                await self._pieces.put(piece)
            await self._pieces.put(None)
        except Exception as error:  # noqa: BLE001  # raised where the pieces are read
            await self._pieces.put(error)
