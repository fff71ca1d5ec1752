"""Sealed hours in a container of Blob Storage, and what a changelog has of them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

from azure.storage.blob.aio import ContainerClient

from songline.cloud import blobs
from songline.cloud.settings import read_blobs
from songline.processors.trending.cells.chunks import encode_mark
from songline.processors.trending.cells.hour_marks import mark_key
from songline.processors.trending.cells.hour_store import HourStore
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.sealed_blocks import pack_block
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.cells.validation import broken_cells
from songline.processors.trending.faust.changelog import Changelog
from tests.support.localcloud import LocalCloud
from tests.support.trending import KEY


class HourStorage(NamedTuple):
    """A container, the hours in it, and what the changelog has of them."""

    container: ContainerClient
    hours: SealedHours
    saved: dict[bytes, bytes]

    def store(self, key: IdentityKey = KEY) -> HourStore:
        """A worker's, which has nothing in memory yet."""
        nowhere: Any = None
        changelog = Changelog("cells", SimpleNamespace(data=self.saved), nowhere, broken_cells)
        return HourStore(changelog, self.hours, key, nowhere)

    async def add_block(self, hour: int, chunks: Iterable[bytes]) -> None:
        """Seal chunks in one block more of an hour of partition 0."""
        size_bytes = await self.hours.add_block(0, hour, pack_block(chunks))
        self.saved[mark_key(0, hour).encode()] = encode_mark(size_bytes)


@asynccontextmanager
async def hour_storage(cloud: LocalCloud, name: str) -> AsyncIterator[HourStorage]:
    """A container of this name, which is empty."""
    async with blobs.client(read_blobs(cloud.environment)) as service:
        container = service.get_container_client(name)
        await container.create_container()
        yield HourStorage(container, SealedHours(container), {})
