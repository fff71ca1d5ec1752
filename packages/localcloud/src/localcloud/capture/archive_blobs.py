"""The Blob containers that Capture writes to: whole files, each of them once."""

import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from ssl import create_default_context
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from localcloud.blob_service import BlobAccount

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.storage.blob.aio import BlobClient, BlobServiceClient

_PACKAGES: Final = {"azure.storage.blob": "azure-storage-blob", "aiohttp": "aiohttp"}
_TIMEOUT_S: Final = 60


class CaptureExtraError(ImportError):
    """A package that Capture needs is not installed; the message is one line that says how to get it."""


def check_installed() -> None:
    """Raises CaptureExtraError."""
    for module, package in _PACKAGES.items():
        with contextlib.suppress(ModuleNotFoundError):
            if find_spec(module) is not None:
                continue
        raise CaptureExtraError(
            f"Capture needs {package}, which is not installed: pip install 'localcloud-azure[capture]'"
        )


class ArchiveBlobs:
    """The blobs of one storage account. Nothing is imported or opened before the first use.

    Methods raise `azure.core.exceptions.AzureError` and OSError where the service fails.
    """

    def __init__(self, account: BlobAccount, host: str) -> None:
        scheme = "http" if account.authority is None else "https"
        self._url = f"{scheme}://{host}:{account.port}/{account.name}"
        self._authority = account.authority
        self._credential = {"account_name": account.name, "account_key": account.key}
        self._opened: BlobServiceClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def exists(self, container: str, name: str) -> bool:
        """Whether there is a blob of that name."""
        return await self._blob(container, name).exists(timeout=_TIMEOUT_S)

    async def write(self, container: str, name: str, pieces: AsyncIterator[bytes]) -> None:
        """Make a block blob of `pieces`, all at once, where there is none of that name; creates the container."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import BlobBlock

        blob = self._blob(container, name)
        blocks: list[BlobBlock] = []
        async for piece in pieces:
            block = b64encode(f"{len(blocks):08}".encode()).decode()
            await self._stage(container, blob, block, piece)
            blocks.append(BlobBlock(block))
        with contextlib.suppress(ResourceExistsError):
            await blob.commit_block_list(blocks, match_condition=MatchConditions.IfMissing, timeout=_TIMEOUT_S)

    async def _stage(self, container: str, blob: "BlobClient", block: str, piece: bytes) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        try:
            await blob.stage_block(block, piece, timeout=_TIMEOUT_S)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                await self._client().create_container(container, timeout=_TIMEOUT_S)
            await blob.stage_block(block, piece, timeout=_TIMEOUT_S)

    def _blob(self, container: str, name: str) -> "BlobClient":
        return self._client().get_blob_client(container, name)

    def _client(self) -> "BlobServiceClient":
        if self._opened is None:
            from azure.storage.blob.aio import BlobServiceClient

            # The SDK reads a bundle of authorities for each request, and opens a connection for each then.
            options = {} if self._authority is None else {"transport": _trusting(self._authority)}
            # A window is tried again by Capture itself.
            self._opened = BlobServiceClient(self._url, credential=self._credential, retry_total=0, **options)
        return self._opened


def _trusting(authority: Path) -> "AioHttpTransport":
    """A transport that trusts `authority` alone."""
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector
    from azure.core.pipeline.transport import AioHttpTransport

    connector = TCPConnector(ssl=create_default_context(cafile=authority))
    # As azure-core opens its own.
    session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)
    return AioHttpTransport(session=session, session_owner=True)
