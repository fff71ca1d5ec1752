"""A block of a file whose connection ends while it is sent."""

import asyncio
from contextlib import suppress
from typing import Self

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import ContainerClient

from songline.cloud.http_transport import HttpTransport
from songline.producers.uploads.block_body import BlockBody
from songline.producers.uploads.staging import BLOCK, StagedFile

TAKEN = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


class ForgettingServer:
    """Context manager: takes one request on each connection, and ends it when the next one has begun."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ended = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            self.bodies.append(await self._request(reader))
            writer.write(TAKEN)
            await reader.readuntil(b"\r\n\r\n")
            self.ended += 1
        writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        return await reader.readexactly(length)


@pytest.mark.parametrize("last", [1, BLOCK])
async def test_a_block_whose_kept_connection_ends_is_sent_again_at_once(last: int) -> None:
    blocks = [bytes([number]) * size for number, size in enumerate((BLOCK, BLOCK, last))]
    credential = AzureNamedKeyCredential("account", "a2V5")
    transport: AioHttpTransport = HttpTransport()
    async with (
        ForgettingServer() as server,
        ContainerClient(
            f"http://127.0.0.1:{server.port}/account", "uploads", credential, transport=transport
        ) as container,
    ):
        # The SDK's own first pause is longer.
        staged = StagedFile(container, "name", patience_s=10)
        for block in blocks:
            await staged.add([block[:1], block[1:]])
    assert server.ended == len(blocks) - 1
    assert server.bodies == blocks


def test_a_block_is_sent_from_its_begin_each_time() -> None:
    block = bytes(range(256)) * (BLOCK // 256)
    body = BlockBody([block, bytearray(b"end")])
    next(iter(body))
    for _ in range(2):
        views = list(body)
        assert b"".join(views) == block + b"end"
        assert max(map(len, views)) < BLOCK
    assert (body.size, body.consumed) == (len(block) + len(b"end"), False)
    with pytest.raises(TypeError, match="no text"):
        body.decode()
