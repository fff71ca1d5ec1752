"""Blob Storage for all namespaces of this process: one Azurite, started when the first namespace asks for it."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from localcloud.azurite import AzuriteServer
from localcloud.published_keys import BLOB_ACCOUNT, BLOB_KEY
from localcloud.tls.authority import ServerCertificate


class BlobAccount(NamedTuple):
    """A storage account: its name, the port that serves it, and its key (base64).

    It is served over HTTPS where there is an `authority`, which clients have to trust.
    """

    name: str
    port: int
    key: str
    authority: Path | None = None

    def __repr__(self) -> str:
        return f"BlobAccount({self.name!r}, {self.port})"


class BlobService:
    """Storage accounts between enter and exit, their data in `folder`, on `host`:`port` (0: a free one).

    `key` is that of all accounts. `gone` is called when Azurite ends before it is asked to. With a `certificate` all
    is over HTTPS, and tokens are taken that a key of the file `jwks` has signed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str,
        port: int,
        gone: Callable[[], None],
        key: str = BLOB_KEY,
        certificate: ServerCertificate | None = None,
        jwks: Path | None = None,
    ) -> None:
        self._key = key
        self._authority = None if certificate is None else certificate.authority
        self._server = AzuriteServer(
            folder, host=host, port=port, gone=gone, key=key, certificate=certificate, jwks=jwks
        )
        self._starting = asyncio.Lock()
        self._started = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            await self._server.__aexit__(kind, error, trace)

    async def own_account(self) -> BlobAccount:
        """The account of the emulator's name. Raises AzuriteError, and AzuriteMissingError where it is not there."""
        return await self._account(BLOB_ACCOUNT)

    async def new_account(self) -> BlobAccount:
        """An account that nobody has used. Raises as `own_account`."""
        return await self._account(f"ns{secrets.token_hex(8)}")

    async def _account(self, name: str) -> BlobAccount:
        return BlobAccount(name, await self._port(), self._key, self._authority)

    async def _port(self) -> int:
        async with self._starting:
            if not self._started:
                await self._server.__aenter__()
                self._started = True
        return self._server.port
