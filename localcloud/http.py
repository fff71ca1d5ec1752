"""An HTTP server inside localcloud's event loop."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """uvicorn's server that tells when it is up, without signal handlers: those belong to the whole of localcloud."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class HttpServer:
    """Serves an ASGI app on `host`:`port` between enter and exit; port 0 takes a free one, which `port` then tells."""

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._address = (host, port)
        self._config = uvicorn.Config(app, http="httptools", lifespan="off", log_level="warning", access_log=False)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        """Raises OSError when the port is taken."""
        self._socket = socket.create_server(self._address, backlog=2048)
        self._server = _Server(self._config)
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        await self._server.up.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        await self._serving
        self._socket.close()
