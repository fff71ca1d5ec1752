"""Cosmos DB on a port of this machine."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.cosmos.access import CosmosAccess
from localcloud.cosmos.app import CosmosApp
from localcloud.cosmos.catalog import Catalog
from localcloud.cosmos.expiry import sweep
from localcloud.cosmos.master_key import MasterKey
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.storage import Storage
from localcloud.cosmos.throughput import Throughput
from localcloud.entra.tokens import EntraTokens
from localcloud.faults import Faults
from localcloud.http import HttpServer
from localcloud.tls.authority import ServerCertificate


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class CosmosServer:
    """Serves the account in `folder` between enter and exit. With port 0 it takes a free port, which `port` returns.

    `key` is the account's master key, base64. Databases whose names match a pattern in `throttled` are held to their
    provisioned throughput. `tokens` of Entra open it too, and alone without `local_auth`. Over TLS when there is a
    `certificate`.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        now_ms: Callable[[], int] = _now_ms,
        throttled: Sequence[str] = (),
        faults: Faults | None = None,
        certificate: ServerCertificate | None = None,
        tokens: EntraTokens | None = None,
        local_auth: bool = True,
    ) -> None:
        self._folder = folder
        self._access = CosmosAccess(MasterKey(key), tokens, local_auth=local_auth)
        self._address = (host, port)
        self._now_ms = now_ms
        self._throttled = throttled
        self._faults = faults or Faults()
        self._certificate = certificate
        self._stack = AsyncExitStack()

    @property
    def port(self) -> int:
        return self._http.port

    async def __aenter__(self) -> Self:
        """Raises OSError when the port is taken."""
        async with AsyncExitStack() as stack:
            # Building the parser's tables takes most of a second: done before the first request, in a thread.
            await asyncio.to_thread(parse, "SELECT 1")
            storage = Storage(self._folder)
            stack.push_async_callback(storage.close)
            catalog = await storage.read(Catalog)
            self.throughput = Throughput(catalog, self._throttled)
            self.app = CosmosApp(
                storage,
                catalog,
                self._access,
                now_ms=self._now_ms,
                throughput=self.throughput,
                faults=self._faults,
            )
            host, port = self._address
            server = HttpServer(self.app, host=host, port=port, certificate=self._certificate)
            self._http = await stack.enter_async_context(server)
            sweeper = asyncio.create_task(sweep(storage, catalog, self._now_ms))
            stack.callback(sweeper.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
