"""Blob Storage clients."""

import contextlib

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from cloud.credentials import entra
from cloud.settings import Blobs


def client(settings: Blobs) -> BlobServiceClient:
    """An asynchronous client; close it, or use it as a context manager."""
    if settings.connection is not None:
        return BlobServiceClient.from_connection_string(settings.connection.reveal())
    assert settings.endpoint is not None
    return BlobServiceClient(settings.endpoint, credential=entra())


async def ensure(blobs: BlobServiceClient, containers: tuple[str, ...]) -> None:
    """Create what is missing. On Azure the infrastructure has made it all and this finds it there."""
    for name in containers:
        with contextlib.suppress(ResourceExistsError):
            await blobs.create_container(name)
