"""Blob Storage clients."""

import contextlib
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from songline.cloud.credentials import entra
from songline.cloud.settings import BlobSettings

# What is larger goes in blocks that are read from the file as they are sent, rather than as one piece of memory; and
# comes in pieces, of which the SDK makes the first 32 MB otherwise.
PIECES: dict[str, Any] = {
    "max_single_put_size": 1024 * 1024,
    "max_block_size": 8 * 1024 * 1024,
    "max_single_get_size": 4 * 1024 * 1024,
    "max_chunk_get_size": 4 * 1024 * 1024,
}


def client(settings: BlobSettings, **options: Any) -> BlobServiceClient:
    """An asynchronous client; close it, or use it as a context manager. `options` go to the SDK's constructor."""
    if settings.connection is not None:
        return BlobServiceClient.from_connection_string(settings.connection.reveal(), **PIECES, **options)
    assert settings.endpoint is not None
    return BlobServiceClient(settings.endpoint, credential=entra(), **PIECES, **options)


async def ensure(blobs: BlobServiceClient, containers: tuple[str, ...]) -> None:
    """Create what is missing. On Azure the infrastructure has made it all and this finds it there."""
    for name in containers:
        with contextlib.suppress(ResourceExistsError):
            await blobs.create_container(name)
