"""The issuer on a port, its keys and secrets in a folder that only its owner may enter."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.http import HttpServer
from localcloud.identity import app
from localcloud.identity.config import IdentityConfig
from localcloud.ports import names_port
from localcloud.private_file import private_folder


class IdentityServer:
    """The issuer of `config` between enter and exit, on `port`; 0 takes a free one, which `port` then tells.

    `entra` makes and checks the tokens of managed identities.
    """

    def __init__(
        self, folder: Path, config: IdentityConfig, *, host: str, port: int, now_s: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._config = config
        self._host = host
        self._wanted = port
        self._now_s = now_s

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def issuer(self) -> str:
        """The issuer's address, which every token names."""
        return f"http://{self._host}:{self.port}"

    def rotate(self) -> str:
        """Make the key that signs from now on, and tell its id. Raises OSError."""
        return self._tokens.keys.rotate(self._now_s()).kid

    async def __aenter__(self) -> Self:
        """Raises IdentityStateError where a file is damaged, OSError where one can't be read or the port is taken."""
        private_folder(self._folder)
        made, self._tokens, self.entra = app.create(self._folder, self._config, lambda: self.issuer, self._now_s)
        self._server = HttpServer(made, host=self._host, port=self._wanted)
        with names_port("identity", self._wanted):
            await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)
