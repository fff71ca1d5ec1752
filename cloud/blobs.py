"""Blob Storage clients."""

import contextlib

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from cloud.credentials import entra
from cloud.settings import Blobs

# What is larger goes in blocks that are read from the file as they are sent, rather than as one piece of memory.
SINGLE_PUT = 1024 * 1024
BLOCK = 8 * 1024 * 1024


def client(settings: Blobs) -> BlobServiceClient:
    """An asynchronous client; close it, or use it as a context manager."""
    if settings.connection is not None:
        return BlobServiceClient.from_connection_string(
            settings.connection.reveal(), max_single_put_size=SINGLE_PUT, max_block_size=BLOCK
        )
    assert settings.endpoint is not None
    return BlobServiceClient(
        settings.endpoint, credential=entra(), max_single_put_size=SINGLE_PUT, max_block_size=BLOCK
    )


async def ensure(blobs: BlobServiceClient, containers: tuple[str, ...]) -> None:
    """Create what is missing. On Azure the infrastructure has made it all and this finds it there."""
    for name in containers:
        with contextlib.suppress(ResourceExistsError):
            await blobs.create_container(name)
