"""TCP proxies whose connections a test can cut, or hold up."""

import asyncio
from contextlib import suppress
from typing import Self

from songline.processes.ports import reserved


class CuttingProxy:
    """Context manager: listens on `port` of 127.0.0.1 and passes everything on to `target` there."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        with reserved({"--port": 0}) as ports:
            self.port = ports["--port"]
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> int:
        """Reset every connection that there is; how many there were."""
        count = len(self._writers)
        for writer in self._writers:
            writer.transport.abort()
        return count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._pass(reader, back, is_sent=True), self._pass(there, writer))
        self._writers -= {writer, back}

    async def _let(self, sent: bytes) -> None:
        """Return once what a client sent may be passed on."""

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_sent: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if is_sent:
                    await self._let(data)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class HoldingProxy(CuttingProxy):
    """A proxy that keeps what has `mark`, and what its connection has behind it, until `release`. `held` is set
    once something is kept."""

    def __init__(self, target: int, mark: bytes) -> None:
        super().__init__(target)
        self._mark = mark
        self._released = asyncio.Event()
        self.held = asyncio.Event()

    def release(self) -> None:
        """Pass on what was kept; from now on nothing is."""
        self._released.set()

    async def _let(self, sent: bytes) -> None:
        if self._mark in sent and not self._released.is_set():
            self.held.set()
            await self._released.wait()
