"""The blobs of an index: manifests, which are replaced under their ETag, and segments, which never change."""

from collections.abc import Sequence
from typing import Protocol

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from songline.processors.history.index.manifest import Manifest, decode_manifest, encode_manifest
from songline.schemas.errors import PoisonError

PREFIX = "listeners-v1"
"""An index of another layout has another name; this one may be deleted whole."""


class IndexStore(Protocol):
    """Where an index is kept: see IndexBlobs."""

    async def read_manifest(self, partition: str) -> tuple[Manifest, str] | None: ...
    async def write_manifest(self, partition: str, manifest: Manifest, etag: str | None) -> str | None: ...
    async def write_segment(self, name: str, data: bytes) -> None: ...
    async def read_segment(self, name: str, start: int, size: int) -> bytes: ...
    async def delete_segments(self, names: Sequence[str]) -> None: ...
    async def drop(self) -> None: ...


class IndexBlobs:
    """The blobs in a container. Methods raise AzureError."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def read_manifest(self, partition: str) -> tuple[Manifest, str] | None:
        """The manifest of a partition and its ETag; None where there is none that can be read."""
        try:
            stream = await self._container.download_blob(f"{PREFIX}/{partition}/manifest")
            return decode_manifest(await stream.readall()), str(stream.properties.etag)
        except (ResourceNotFoundError, PoisonError):
            return None

    async def write_manifest(self, partition: str, manifest: Manifest, etag: str | None) -> str | None:
        """Write the manifest in place of the one with this ETag, None for none; return its ETag, or None where another
        process was first."""
        blob = self._container.get_blob_client(f"{PREFIX}/{partition}/manifest")
        data = encode_manifest(manifest)
        try:
            if etag is None:
                await self._make_container()
                # One that can't be read was written by nobody who goes on with it.
                done = await blob.upload_blob(data, overwrite=True)
            else:
                done = await blob.upload_blob(
                    data, overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified
                )
        except (ResourceModifiedError, ResourceExistsError, ResourceNotFoundError):
            return None
        return str(done["etag"])

    async def write_segment(self, name: str, data: bytes) -> None:
        """Write a segment."""
        await self._make_container()
        await self._container.upload_blob(f"{PREFIX}/{name}", data)

    async def read_segment(self, name: str, start: int, size: int) -> bytes:
        """A part of a segment."""
        if not size:
            # A segment of files without events. HTTP has no range of no bytes.
            return b""
        stream = await self._container.download_blob(f"{PREFIX}/{name}", offset=start, length=size)
        return await stream.readall()

    async def delete_segments(self, names: Sequence[str]) -> None:
        """Delete segments, those that are there."""
        for name in names:
            try:
                await self._container.delete_blob(f"{PREFIX}/{name}")
            except ResourceNotFoundError:
                continue

    async def drop(self) -> None:
        """Delete the whole index."""
        try:
            names = [one.name async for one in self._container.list_blobs(name_starts_with=f"{PREFIX}/")]
        except ResourceNotFoundError:
            return
        await self.delete_segments([name.removeprefix(f"{PREFIX}/") for name in names])

    async def _make_container(self) -> None:
        try:
            await self._container.create_container()
        except ResourceExistsError:
            return
