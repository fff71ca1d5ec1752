"""The checkpoints of a replay in Blob Storage: what changed since the one before, and now and then all of it.

Blobs are numbered. A checkpoint is one of them, or several: the last one has the state, and the number of the blob from
which on all hold. What a process that was killed has left behind the last checkpoint is removed.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import chain
from typing import Protocol

import msgspec
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from msgspec import Struct

from songline.cloud import blobs
from songline.cloud.http_transport import Guard
from songline.cloud.settings import read_blobs
from songline.processors.history.charts.saved_replay import ReplayState, SavedReplay, merge_saved
from songline.processors.history.versions.version_store import VersionOvertakenError
from songline.schemas.channels import ARCHIVE_INDEX_BLOBS
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError

PART_BYTES = 32 * 1024 * 1024
SLACK_BYTES = 64 * 1024 * 1024
"""All is written anew where the blobs would have so many bytes more than twice what holds."""


class CheckpointPart(Struct, frozen=True, array_like=True):
    """A blob: what is saved by key. Of a checkpoint's last one the `state`, and the number of its `first` blob."""

    values: dict[str, bytes | None]
    chunks: dict[str, bytes | None]
    state: ReplayState | None = None
    first: int = 0


class CheckpointBlobs(Protocol):
    """The blobs of one version, by number. Methods raise AzureError."""

    async def numbers(self) -> list[int]: ...
    async def read(self, number: int) -> bytes: ...
    async def write(self, number: int, data: bytes) -> None: ...
    async def remove(self, number: int) -> None: ...


class ReplayCheckpoints:
    """The checkpoints of one version, which one process writes. Methods raise AzureError."""

    def __init__(self, stored: CheckpointBlobs) -> None:
        self.stored = stored
        self._first = 0
        self._next = 0
        self._size_bytes = 0

    async def read(self) -> SavedReplay | None:
        """The last checkpoint as a whole; None where there is none, or none that this release understands."""
        numbers = sorted(await self.stored.numbers())
        parts: list[CheckpointPart] = []
        first = end = 0
        with suppress(PoisonError):
            for number in reversed(numbers):
                part = _decode(await self.stored.read(number))
                if not parts and part.state is None:
                    continue
                if not parts:
                    first, end = part.first, number + 1
                parts.insert(0, part)
                if number == first:
                    break
        if len(parts) != end - first:
            parts, first, end = [], 0, 0
        for number in numbers:
            if not first <= number < end:
                await self.stored.remove(number)
        self._first, self._next = first, end
        self._size_bytes = sum(_size_bytes(part.values, part.chunks) for part in parts)
        if not parts or parts[-1].state is None:
            return None
        return merge_saved(parts[-1].state, [(part.values, part.chunks) for part in parts])

    async def remove(self) -> None:
        """Remove all: the rebuild begins anew. The last one goes first: what is left where that is cut off is an older
        checkpoint, or none."""
        for number in sorted(await self.stored.numbers(), reverse=True):
            await self.stored.remove(number)
        self._first = self._next = self._size_bytes = 0

    async def save(self, changes: SavedReplay, whole: Callable[[], SavedReplay], holds_bytes: int) -> None:
        """Save what has changed since the checkpoint before, or all (`whole`), which has so many bytes. May be called
        again where it fails."""
        saved, first = changes, self._first
        size_bytes = self._size_bytes + _size_bytes(changes.values, changes.chunks)
        if size_bytes > 2 * holds_bytes + SLACK_BYTES:
            saved, first, size_bytes = whole(), self._next, holds_bytes
        parts = [CheckpointPart(values, chunks) for values, chunks in _split(saved)]
        parts[-1] = msgspec.structs.replace(parts[-1], state=saved.state, first=first)
        for number, part in enumerate(parts, self._next):
            await self.stored.write(number, _encode(part))
        for number in range(self._first, first):
            await self.stored.remove(number)
        self._first, self._next, self._size_bytes = first, self._next + len(parts), size_bytes


class StoredCheckpoints:
    """CheckpointBlobs in a blob container, whose names begin with `prefix`."""

    def __init__(self, container: ContainerClient, prefix: str) -> None:
        self._container = container
        self._prefix = prefix

    async def numbers(self) -> list[int]:
        names = self._container.list_blob_names(name_starts_with=self._prefix)
        try:
            found = [str(name).removeprefix(self._prefix) async for name in names]
        except ResourceNotFoundError:
            return []
        return [int(name) for name in found if name.isdecimal()]

    async def read(self, number: int) -> bytes:
        stream = await self._container.download_blob(self._name(number))
        return await stream.readall()

    async def write(self, number: int, data: bytes) -> None:
        """Write a blob, if it is not there. Raises VersionOvertakenError where there is another one: another rebuild
        has taken the version over, and this one was stopped meanwhile."""
        try:
            await self._create(number, data)
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                await self._container.create_container()
            await self._create(number, data)

    async def _create(self, number: int, data: bytes) -> None:
        try:
            await self._container.upload_blob(self._name(number), data, overwrite=False)
        except ResourceExistsError:
            # It may be this one, whose answer was lost.
            if await self.read(number) != data:
                raise VersionOvertakenError(
                    f"the checkpoint {self._name(number)} was written by another rebuild of the version meanwhile. "
                    "Repeat the command, and it goes on from there"
                ) from None

    async def remove(self, number: int) -> None:
        with suppress(ResourceNotFoundError):
            await self._container.delete_blob(self._name(number))

    def _name(self, number: int) -> str:
        return f"{self._prefix}{number:010}"


@asynccontextmanager
async def open_checkpoints(
    environ: Mapping[str, str], projection: str, version: int, guard: Guard | None = None
) -> AsyncIterator[StoredCheckpoints]:
    """The checkpoints of a version of a projection, beside the index of the archive. Their requests ask `guard`. Raises
    SettingError."""
    async with blobs.client(read_blobs(environ), guard) as account:
        container = account.get_container_client(ARCHIVE_INDEX_BLOBS)
        yield StoredCheckpoints(container, f"rebuilds/{projection}-v{version}/")


async def remove_checkpoints(environ: Mapping[str, str], projection: str, version: int) -> None:
    """Remove all that a rebuild of a version has left: it is not gone on with. Raises AzureError."""
    async with open_checkpoints(environ, projection, version) as stored:
        await ReplayCheckpoints(stored).remove()


def _split(saved: SavedReplay) -> Iterator[tuple[dict[str, bytes | None], dict[str, bytes | None]]]:
    """What is saved, some PART_BYTES at a time; at least one part."""
    values: dict[str, bytes | None] = {}
    chunks: dict[str, bytes | None] = {}
    size_bytes = 0
    placed = chain(((values, one) for one in saved.values.items()), ((chunks, one) for one in saved.chunks.items()))
    for place, (key, value) in placed:
        place[key] = value
        size_bytes += len(value or b"")
        if size_bytes >= PART_BYTES:
            yield dict(values), dict(chunks)
            values.clear()
            chunks.clear()
            size_bytes = 0
    yield values, chunks


def _size_bytes(values: Mapping[str, bytes | None], chunks: Mapping[str, bytes | None]) -> int:
    return sum(len(one or b"") for part in (values, chunks) for one in part.values())


_encode = msgspec.msgpack.Encoder().encode
_decode = MsgpackDecoder(CheckpointPart).decode
