#!/bin/bash
# A service ends a connection that a client keeps, just as the client sends the next block on it. Of a block that is
# `bytes` aiohttp sends the request once more by itself, below azure-core, which sees nothing of it. A block that is an
# iterator, sync or async, counts as used up from its first piece on, so the same end of a connection is an error, and is
# left to the retries of the SDK, the first of which waits some 15 s. Here these are turned off. aiohttp's own payload
# classes pass through azure-core as they are, and one that says that it can be written again is.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check azure-storage-blob==12.28.0 aiohttp==3.14.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

from aiohttp.payload import Payload
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import AzureError
from azure.storage.blob.aio import BlobClient

BLOCK = bytes(range(256)) * 2_000
STEP = 50_000


async def pieces():
    for start in range(0, len(BLOCK), STEP):
        yield BLOCK[start : start + STEP]


class Repeatable(Payload):
    _autoclose = True

    def __iter__(self):
        return (BLOCK[start : start + STEP] for start in range(0, len(BLOCK), STEP))

    async def write(self, writer):
        for piece in self:
            await writer.write(piece)

    def decode(self, encoding="utf-8", errors="strict"):
        raise TypeError


async def serve(reader, writer):
    """Takes one request on a connection, and ends it when the head of the next one has come."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    try:
        await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        pass
    writer.transport.abort()


async def second_block(port, body):
    credential = AzureNamedKeyCredential("account", "a2V5")
    async with BlobClient(f"http://127.0.0.1:{port}/account", "songs", "one", credential=credential, retry_total=0) as blob:
        await blob.stage_block("MQ==", body(), length=len(BLOCK))
        try:
            await blob.stage_block("Mg==", body(), length=len(BLOCK))
        except AzureError as error:
            return type(error).__name__
        return "taken"


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("azure-storage-blob", version("azure-storage-blob"), "azure-core", version("azure-core"), "aiohttp", version("aiohttp"))
    found = {}
    for name, body in (
        ("bytes", lambda: BLOCK),
        ("async iterator", pieces),
        ("payload that can be written again", lambda: Repeatable(BLOCK, content_type="application/octet-stream")),
    ):
        found[name] = await second_block(port, body)
        print(f"second block, {name}: {found[name]}")
    server.close()
    assert found["bytes"] == found["payload that can be written again"] == "taken", found
    assert found["async iterator"] != "taken", "aiohttp sends it again now"


asyncio.run(main())
PYTHON
