"""Point writes and reads a second of localcloud's Cosmos DB, over raw HTTP and through the SDK.

The server is a process of its own. Measured region: from the first request to the last answer, with so many requests
in flight; every status is checked, and at the end the number of items. A write counts when it is on disk.
"""

import asyncio
import base64
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient

from localcloud.published_keys import COSMOS_KEY

REQUESTS = 4000
CONNECTIONS = 32
LISTENERS = 50
SERVER = """
import asyncio, sys
from pathlib import Path
from localcloud.published_keys import COSMOS_KEY
from localcloud.cosmos.server import CosmosServer

async def main():
    async with CosmosServer(Path(sys.argv[1]), COSMOS_KEY) as server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def main() -> None:
    """Print the rates."""
    asyncio.run(run())


async def run() -> None:
    with tempfile.TemporaryDirectory() as folder, _serve(Path(folder)) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        async with CosmosClient(f"http://127.0.0.1:{port}", COSMOS_KEY) as client:
            database = await client.create_database("bench")
            container = await database.create_container("items", PartitionKey("/userId"))
            print("Cosmos DB, 1 KB items, a second; in brackets the server's CPU time a request")
            await _measure(server.pid, "raw HTTP, create", REQUESTS, lambda: _raw(port, _create))
            await _measure(server.pid, "raw HTTP, read", REQUESTS, lambda: _raw(port, _read))
            await _measure(server.pid, "raw HTTP, replace", REQUESTS, lambda: _raw(port, _replace))
            await _measure(server.pid, "aio SDK, upsert", 1000, lambda: _sdk(container.upsert_item, _document, 1000))
            await _measure(server.pid, "aio SDK, read", 1000, lambda: _sdk_reads(container, 1000))
            counted: list[object] = [n async for n in container.query_items("SELECT VALUE COUNT(1) FROM c")]
            assert counted == [REQUESTS], counted
        assert server.stdin is not None
        server.stdin.close()
        server.wait(10)


def _serve(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


async def _measure(pid: int, name: str, count: int, work: Callable[[], Awaitable[None]]) -> None:
    cpu, start = _cpu_seconds(pid), time.perf_counter()
    await work()
    seconds = time.perf_counter() - start
    print(f"  {name:20} {count / seconds:8,.0f}   ({(_cpu_seconds(pid) - cpu) / count * 1e6:,.0f} µs)")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _document(number: int) -> dict[str, object]:
    document: dict[str, object] = {"id": f"song:{number}", "userId": f"user-{number % LISTENERS}", "plays": number}
    return document | {"title": "x" * 900}


def _create(number: int) -> tuple[str, str, dict[str, object] | None, int]:
    return "POST", "dbs/bench/colls/items", _document(number), 201


def _replace(number: int) -> tuple[str, str, dict[str, object] | None, int]:
    return "PUT", f"dbs/bench/colls/items/docs/song:{number}", _document(number), 200


def _read(number: int) -> tuple[str, str, dict[str, object] | None, int]:
    return "GET", f"dbs/bench/colls/items/docs/song:{number}", None, 200


async def _raw(port: int, request: Callable[[int], tuple[str, str, dict[str, object] | None, int]]) -> None:
    numbers = iter(range(REQUESTS))

    async def one_connection() -> None:
        async with _connection(port) as (reader, writer):
            for number in numbers:
                method, link, body, expected = request(number)
                writer.write(_http(method, link, number, body))
                status = await _answer(reader)
                assert status == expected, status

    await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def _http(method: str, link: str, number: int, body: dict[str, object] | None) -> bytes:
    date = formatdate(usegmt=True)
    signed = f"{method.lower()}\ndocs\n{link}\n{date.lower()}\n\n"
    signature = base64.b64encode(hmac.digest(base64.b64decode(COSMOS_KEY), signed.encode(), "sha256")).decode()
    data = json.dumps(body).encode() if body is not None else b""
    return (
        f"{method} /{link}{'/docs' if method == 'POST' else ''} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-ms-date: {date}\r\n"
        f"authorization: {quote(f'type=master&ver=1.0&sig={signature}', safe='')}\r\n"
        f'x-ms-documentdb-partitionkey: ["user-{number % LISTENERS}"]\r\nContent-Length: {len(data)}\r\n\r\n'
    ).encode() + data


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))
    return int(head.split(b" ", 2)[1])


async def _sdk(
    call: Callable[[dict[str, object]], Awaitable[object]], body: Callable[[int], dict[str, object]], count: int
) -> None:
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            await call(body(number))

    await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))


async def _sdk_reads(container: ContainerProxy, count: int) -> None:
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            await container.read_item(f"song:{number}", f"user-{number % LISTENERS}")

    await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))


if __name__ == "__main__":
    main()
