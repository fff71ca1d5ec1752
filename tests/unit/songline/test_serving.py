"""The bodies of requests, on their way from the connection to the application."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from songline.api.serving import HEAD_S, PatientProtocol, patient_protocol
from tests.support.waiting import wait_for_async

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class BodyReader:
    """An application that reads the body of one request, once `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.messages: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.go.wait()
        more = True
        while more:
            message = await receive()
            self.messages.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def served(app: BodyReader) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, PatientProtocol]]:
    """A connection to the application, and the protocol that serves it."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
    config.load()
    state = uvicorn.server.ServerState()
    made: list[PatientProtocol] = []

    made_of = patient_protocol(HEAD_S)

    def protocol() -> PatientProtocol:
        made.append(made_of(config, state, {}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

    async def is_served() -> bool:
        return bool(made)

    try:
        await wait_for_async(is_served, "the connection to be served")
        yield reader, writer, made[0]
    finally:
        writer.close()
        server.close()


def chunked(pieces: Sequence[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("sizes", [[1] * 3_000, [20_000, 1, 20_000], [40_000]])
async def test_what_comes_before_the_application_reads_is_one_piece(sizes: list[int]) -> None:
    app = BodyReader()
    pieces = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    async with served(app) as (reader, writer, protocol):
        writer.write(HEAD + chunked(pieces))

        async def arrived() -> bool:
            # uvicorn declares one from the start, and has none before a head.
            cycle: RequestResponseCycle | None = protocol.cycle
            return cycle is not None and not cycle.more_body

        await wait_for_async(arrived, "all of the body to arrive")
        app.go.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 204")
    assert app.messages == [b"".join(pieces)]


async def test_a_body_that_is_read_as_it_comes_is_whole() -> None:
    app = BodyReader()
    app.go.set()
    pieces = [bytes([number]) * size for number, size in enumerate((1, 300_000, 7, 70_000, 1_000_000, 3))]
    async with served(app) as (reader, writer, _):
        writer.write(HEAD)
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 204")
    assert b"".join(app.messages) == b"".join(pieces)
    assert all(isinstance(message, bytes) for message in app.messages)


async def test_bodies_of_two_connections_do_not_mix() -> None:
    app = BodyReader()
    bodies = [bytes([number]) * 60_000 for number in range(2)]
    async with served(app) as (_, writer, protocol):
        other, another = await asyncio.open_connection(*protocol.transport.get_extra_info("sockname"))
        for body, end in zip(bodies, (writer, another), strict=True):
            end.write(HEAD + chunked([body]))

            async def arrived(body: bytes = body) -> bool:
                served = [one for one in protocol.connections if isinstance(one, PatientProtocol)]
                cycles: list[RequestResponseCycle | None] = [one.cycle for one in served]
                return any(cycle is not None and not cycle.more_body and cycle.body == body for cycle in cycles)

            await wait_for_async(arrived, "all of a body to arrive")
        app.go.set()
        assert (await other.readline()).startswith(b"HTTP/1.1 204")
        another.close()
    assert sorted(app.messages) == bodies
