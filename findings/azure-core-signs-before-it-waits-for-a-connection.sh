#!/bin/bash
# Of one client of azure-storage-blob (aio), a hundred requests are under way at most: aiohttp's pool has so many
# connections, and azure-core leaves that as it is. The next request has its x-ms-date, its signature and all that its
# policies decide before it waits for one of them, and nothing is asked again when it is sent. Neither connection_timeout
# nor read_timeout counts that wait. So what arrives may be as old as the service was slow.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check azure-storage-blob==12.28.0 aiohttp==3.14.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import time
from email.utils import parsedate_to_datetime
from importlib.metadata import version

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.storage.blob.aio import ContainerClient

POOL, HELD_S, TIMEOUT_S = 100, 5, 2


class Asked(SansIOHTTPPolicy):
    """A policy of each try, as those that sign: when it was asked last."""

    at = 0.0

    def on_request(self, request):
        self.at = time.time()


async def main():
    heads, full, free = [], asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append((time.time(), head.decode().lower()))
                if len(heads) == POOL:
                    full.set()
                await free.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/account"
    asked = Asked()
    options = {"connection_timeout": TIMEOUT_S, "read_timeout": 60, "retry_total": 0, "_additional_pipeline_policies": [asked]}
    credential = AzureNamedKeyCredential("account", "a2V5")
    async with ContainerClient(address, "songs", credential=credential, **options) as client:
        calls = [asyncio.create_task(client.get_container_properties()) for _ in range(POOL)]
        await asyncio.wait_for(full.wait(), 60)
        calls.append(asyncio.create_task(client.get_container_properties()))
        await asyncio.sleep(HELD_S)
        under_way = len(heads)
        free.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
    server.close()
    arrived, head = heads[-1]
    dated = parsedate_to_datetime(head.partition("x-ms-date: ")[2].split("\r\n")[0]).timestamp()
    print("azure-storage-blob", version("azure-storage-blob"), "azure-core", version("azure-core"), "aiohttp", version("aiohttp"))
    print(f"{len(calls)} requests begun, under way after {HELD_S} s: {under_way}")
    print(f"the last one arrived {arrived - asked.at:.0f} s after its policies were asked, its x-ms-date {arrived - dated:.0f} s old")
    print(f"connection_timeout is {TIMEOUT_S} s, errors: {[one for one in answers if isinstance(one, Exception)]}")
    assert asked.at and under_way == POOL and len(heads) == POOL + 1
    assert arrived - asked.at >= HELD_S - 1 and arrived - dated >= HELD_S - 1
    assert not [one for one in answers if isinstance(one, Exception)]


asyncio.run(main())
PYTHON
