"""Opening the index of the archive over the services that the environment names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from songline.cloud import blobs
from songline.cloud.settings import read_blobs
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.index.archive_index import ArchiveIndex
from songline.processors.history.index.index_blobs import IndexBlobs
from songline.schemas.channels import ARCHIVE_INDEX_BLOBS


@asynccontextmanager
async def open_index(environ: Mapping[str, str], history: HubHistory) -> AsyncIterator[ArchiveIndex]:
    """The index over the archive of `history`. Raises SettingError."""
    async with blobs.client(read_blobs(environ)) as account:
        yield ArchiveIndex(history, IndexBlobs(account.get_container_client(ARCHIVE_INDEX_BLOBS)))
