"""An HTTP server that records what it is asked, and refuses all of it."""

import asyncio
from contextlib import suppress
from ssl import SSLContext
from typing import Self

ANSWER = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"


class RecordingServer:
    """Context manager: listens on a free `port` of 127.0.0.1. `targets` are the first lines of requests, `headers`
    those of the requests by lower-case name, `connections` how many there were."""

    def __init__(self, tls: SSLContext | None = None) -> None:
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.connections = 0
        self.targets: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """End every connection that there is; a client that looks finds them ended."""
        for writer in self._writers:
            writer.transport.abort()
        # The transports close their sockets in the loop's next turn.
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                self.targets.append(first)
                self.headers.append(headers)
                await reader.readexactly(int(headers.get("content-length", "0")))
                writer.write(ANSWER)
                await writer.drain()
