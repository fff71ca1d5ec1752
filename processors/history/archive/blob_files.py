"""The files of an archive as blobs: listed, read in part, and downloaded ahead of what is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from msgspec import Struct

from songline.processors.history.archive.name_format import FileName, NameFormat

AHEAD_PIECES = 2
"""Pieces of a file that wait to be read, at most; a piece has 4 MB at most, as `songline.cloud.blobs` asks for them."""
_UNCHANGED = MatchConditions.IfNotModified
TRIES = 5
"""A file that is written anew while it is read is read again."""


class ArchiveFile(Struct, frozen=True):
    """A file of an archive as it is listed: its path, what its name says, its size, and the version of its content."""

    path: str
    name: FileName
    size_bytes: int
    etag: str


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

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        """At most `size` bytes of a file from `start` on; raises ResourceModifiedError where it has another ETag than
        `etag`."""

    def download(self, path: str) -> FileBytes:
        """A file's bytes."""


class BlobFiles:
    """The files of a hub in a blob container. Methods raise AzureError.

    `namespace`: only files of this namespace, None for any.
    """

    def __init__(self, container: ContainerClient, names: NameFormat, namespace: str | None = None) -> None:
        self._container = container
        self._names = names
        self._namespace = namespace and namespace.lower()

    async def list(self) -> list[ArchiveFile] | None:
        """All files, by moment and partition; None where there is no container."""
        found = []
        try:
            async for blob in self._container.list_blobs(name_starts_with=self._names.prefix or None):
                name = self._names.parse(blob.name)
                if name is not None and self._namespace in (None, name.namespace.lower()):
                    found.append(ArchiveFile(blob.name, name, blob.size, blob.etag or ""))
        except ResourceNotFoundError:
            return None
        return sorted(found, key=lambda file: (file.name, file.path))

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        """At most `size` bytes of the file from `start` on; raises ResourceModifiedError where it has another ETag than
        `etag`."""
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
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

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
