"""Namespaces that are opened and closed at run time, each in a folder and on ports of its own."""

import asyncio
import re
import secrets
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.blob_service import BlobService
from localcloud.identity.server import IdentityServer
from localcloud.namespace import CloudNamespace, NamespaceSettings
from localcloud.tls.authority import ServerCertificate

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


class NamespaceNameError(ValueError):
    """No namespace can be opened under that name."""


class UnknownNamespaceError(LookupError):
    """No namespace of that name is open."""


class NamespaceRegistry:
    """The namespaces that are open, each below `folder`. Entering removes what a process that was killed left there.

    What a namespace holds is removed when it is closed, at the latest when this ends. `blobs` are in Azurite's folder
    until that is removed, in an account that no later namespace gets. `issuer` is the one of all,
    `certificate` what all show over TLS.
    """

    def __init__(
        self, folder: Path, blobs: BlobService, issuer: IdentityServer, certificate: ServerCertificate
    ) -> None:
        self._folder = folder
        self._blobs = blobs
        self._issuer = issuer
        self._certificate = certificate
        self._open: dict[str, CloudNamespace] = {}
        self._stacks: dict[str, AsyncExitStack] = {}
        self._changing: set[str] = set()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._open):
            await self.close(name)

    def all(self) -> dict[str, CloudNamespace]:
        return dict(self._open)

    def folder(self, name: str | None) -> Path:
        """The folder of a namespace that is about to be opened; None gives it a name. Raises NamespaceNameError."""
        name = secrets.token_hex(8) if name is None else name
        if not _NAME.fullmatch(name):
            raise NamespaceNameError("expected up to 63 of a-z, 0-9 and -, not - at the beginning")
        if name in self._open or name in self._changing:
            raise NamespaceNameError("a namespace of that name is open: close it, or choose another name")
        return self._folder / name

    async def open(self, folder: Path, settings: NamespaceSettings, *, with_blobs: bool) -> CloudNamespace:
        """Open a namespace in `folder`, on free ports. Raises AzuriteError, and what `CloudNamespace` raises."""
        name = folder.name
        self._changing.add(name)
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder, ignore_errors=True)
                account = await self._blobs.new_account() if with_blobs else None
                opened = await stack.enter_async_context(
                    CloudNamespace(
                        folder,
                        settings,
                        wanted={},
                        identity_port=self._issuer.port,
                        certificate=self._certificate,
                        tokens=self._issuer.entra,
                        blobs=account,
                    )
                )
                self._stacks[name] = stack.pop_all()
                self._open[name] = opened
        finally:
            self._changing.discard(name)
        return opened

    async def close(self, name: str) -> None:
        """Cut the namespace's connections and remove what it holds. Raises UnknownNamespaceError."""
        if self._open.pop(name, None) is None:
            raise UnknownNamespaceError(f"no namespace {name!r} is open")
        self._changing.add(name)
        try:
            await self._stacks.pop(name).aclose()
        finally:
            self._changing.discard(name)
