"""Webhooks of tests: servers that answer as they are told, or that misbehave."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec


class Received(NamedTuple):
    """A request: method, target, headers by lower-case name, body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
AGREES = b"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: eventgrid.azure.net\r\nContent-Length: 0\r\n\r\n"


def status(code: int, headers: str = "") -> bytes:
    return f"HTTP/1.1 {code} Told\r\n{headers}Content-Length: 0\r\n\r\n".encode()


class Webhook:
    """Listens on 127.0.0.1 between enter and exit. `answers` gives the answer to an event; OPTIONS is answered by
    `agreement`. An answer of None is never given."""

    def __init__(
        self, answers: Callable[[Received], bytes | None] = lambda _: OK, agreement: bytes | None = AGREES
    ) -> None:
        self.answers = answers
        self.agreement = agreement
        self.asked: list[Received] = []
        self.events: list[Received] = []
        self._serving: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook?tenant=7"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        tasks = list(self._serving.values())
        for writer in list(self._serving):
            writer.transport.abort()
        await asyncio.gather(*tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[writer] = task
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            received = Received(method, target, headers, body)
            if method == "OPTIONS":
                self.asked.append(received)
                answer = self.agreement
            else:
                self.events.append(received)
                answer = self.answers(received)
            if answer is not None:
                writer.write(answer)
                await writer.drain()
                writer.write_eof()
                await reader.read()
            else:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
            del self._serving[writer]
