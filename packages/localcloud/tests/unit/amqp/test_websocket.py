"""AMQP over WebSockets, by aiohttp's client: on the port of AMQP, byte by byte, and what breaks off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from localcloud.amqp.config import AmqpConfig
from localcloud.amqp.frames import AMQP_HEADER, FrameReader, frame
from localcloud.amqp.performatives import Attach, Begin, Close, Open, read_composite
from localcloud.amqp.server import AmqpServer
from localcloud.amqp.types import Uint
from localcloud.amqp.websocket import PATH, SUBPROTOCOL
from localcloud_tests.unit.amqp.service import Service, run, sending, serving

DEADLINE = 60.0


@asynccontextmanager
async def connected(server: AmqpServer) -> AsyncIterator[ClientWebSocketResponse]:
    async with (
        asyncio.timeout(DEADLINE),
        ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{server.port}{PATH}", protocols=[SUBPROTOCOL]) as socket,
    ):
        yield socket


async def performatives(socket: ClientWebSocketResponse, count: int) -> list[str]:
    """The names of the next performatives, after the protocol's header."""
    reader, names = FrameReader(), list[str]()
    while reader.header() is None:
        reader.feed(await socket.receive_bytes())
    while len(names) < count:
        got = reader.frame()
        if got is None:
            reader.feed(await socket.receive_bytes())
        elif got.body:
            names.append(read_composite(got.body)[0].NAME)
    return names


OPENING = AMQP_HEADER + b"".join(
    frame(0, each.encoded())
    for each in (
        Open("client"),
        Begin(next_outgoing_id=Uint(0), incoming_window=Uint(100), outgoing_window=Uint(100)),
        sending(),
    )
)


@pytest.mark.parametrize("size", [1, 7, len(OPENING)])
async def test_messages_are_one_stream_of_bytes(size: int) -> None:
    service = Service()
    async with serving(service) as server, connected(server) as socket:
        for start in range(0, len(OPENING), size):
            await socket.send_bytes(OPENING[start : start + size])
        assert await performatives(socket, 3) == [Open.NAME, Begin.NAME, Attach.NAME]
        assert len(server.connections) == 1
    assert not server.connections


async def test_a_close_of_amqp_closes_the_socket() -> None:
    async with serving(Service()) as server, connected(server) as socket:
        await socket.send_bytes(OPENING + frame(0, Close().encoded()))
        while (message := await socket.receive()).type is WSMsgType.BINARY:
            pass
        assert (message.type, socket.close_code) == (WSMsgType.CLOSE, 1000)


async def test_a_client_that_goes_is_forgotten() -> None:
    service = Service()
    async with serving(service) as server:
        async with connected(server) as socket:
            await socket.send_bytes(OPENING)
            await performatives(socket, 3)
        async with asyncio.timeout(DEADLINE):
            while server.connections or not service.detached:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)


async def test_a_ping_is_answered() -> None:
    async with serving(Service()) as server, connected(server) as socket:
        await socket.ping(b"there?")
        await socket.send_bytes(OPENING)
        assert await performatives(socket, 1) == [Open.NAME]


async def test_text_is_refused() -> None:
    async with serving(Service()) as server, connected(server) as socket:
        await socket.send_str("AMQP")
        assert (await socket.receive()).data == 1003


@pytest.mark.parametrize(("path", "protocol", "status"), [("/", SUBPROTOCOL, 404), (PATH, "chat", 400)])
async def test_another_path_or_subprotocol_is_refused(path: str, protocol: str, status: int) -> None:
    async with serving(Service()) as server, ClientSession() as session, asyncio.timeout(DEADLINE):
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"http://127.0.0.1:{server.port}{path}", protocols=[protocol])
    assert refused.value.status == status


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\n\r\n", b"GET " + b"x" * 100_000, b"GROW\x00\x01\r\n\r\n"])
async def test_what_is_no_websocket_ends_its_connection_alone(sent: bytes) -> None:
    async with serving(Service()) as server, asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        writer.close()
        assert await run(server, lambda client: client.attach(sending()).NAME) == Attach.NAME


async def test_a_client_that_says_nothing_is_cut_off() -> None:
    async with serving(Service(), AmqpConfig(handshake_s=0.05)) as server, asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_a_server_that_ends_waits_for_no_silent_client() -> None:
    async with asyncio.timeout(DEADLINE):
        async with serving(Service(), AmqpConfig(handshake_s=3_600)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.sleep(0)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
