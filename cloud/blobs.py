"""Blob Storage clients."""

import contextlib
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobSasPermissions, generate_blob_sas
from azure.storage.blob.aio import BlobClient, BlobServiceClient
from msgspec import Struct

from songline.cloud.credentials import entra
from songline.cloud.http_transport import Guard, HttpTransport
from songline.cloud.settings import BLOB_CONNECTION, BlobSettings, connection_parts
from songline.cloud.tls import client_context

COPY_WITHIN = timedelta(hours=1)
_STORAGE_SCOPE = "https://storage.azure.com/.default"

# What is larger goes in blocks that are read from the file as they are sent, rather than as one piece of memory; and
# comes in pieces, of which the SDK makes the first 32 MB otherwise.
PIECES: dict[str, Any] = {
    "max_single_put_size": 1024 * 1024,
    "max_block_size": 8 * 1024 * 1024,
    "max_single_get_size": 4 * 1024 * 1024,
    "max_chunk_get_size": 4 * 1024 * 1024,
}


def client(settings: BlobSettings, guard: Guard | None = None, **options: Any) -> BlobServiceClient:
    """An asynchronous client; close it, or use it as a context manager. `guard` as of HttpTransport; `options` go to
    the SDK's constructor."""
    transport = HttpTransport(tls=client_context(settings.authorities), guard=guard)
    options = {**PIECES, "transport": transport, **options}
    if settings.connection is not None:
        return BlobServiceClient.from_connection_string(settings.connection.reveal(), **options)
    assert settings.endpoint is not None
    return BlobServiceClient(settings.endpoint, credential=entra(), **options)


async def ensure(blobs: BlobServiceClient, containers: tuple[str, ...]) -> None:
    """Create the containers that are missing. On Azure the infrastructure has created them all."""
    for name in containers:
        with contextlib.suppress(ResourceExistsError):
            await blobs.create_container(name)


class CopySource(Struct, frozen=True):
    """A blob as the service itself may read it: its address, and the value of `x-ms-copy-source-authorization`."""

    url: str
    authorization: str | None = None


async def copy_source(settings: BlobSettings, blob: BlobClient, now: datetime) -> CopySource:
    """`blob` as the source of a copy within its account, for COPY_WITHIN from `now`.

    Source: "Put Block From URL" of the Blob service's REST API: a shared access signature, or a token of Entra.
    """
    if settings.connection is None:
        token = await entra().get_token(_STORAGE_SCOPE)
        return CopySource(blob.url, f"Bearer {token.token}")
    parts = connection_parts(BLOB_CONNECTION, settings.connection.reveal(), ())
    if "accountkey" not in parts:
        # The address has the signature of the connection string.
        return CopySource(blob.url)
    signature = generate_blob_sas(
        parts["accountname"],
        blob.container_name,
        blob.blob_name,
        account_key=parts["accountkey"],
        permission=BlobSasPermissions(read=True),
        expiry=now + COPY_WITHIN,
    )
    return CopySource(f"{blob.url}?{signature}")
