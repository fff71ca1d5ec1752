#!/bin/bash
# azure-storage-blob takes `match_condition=IfMissing` or `IfPresent` alone. Given an `etag` beside it, even None, as a
# caller does who always has a variable for it, it makes the right header, but leaves the word `etag` among the options
# and hands it down to the HTTP library: the call ends in that library's TypeError, and no request is sent. With
# `IfNotModified` and `IfModified` the same word is taken out.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check azure-storage-blob==12.31.1 aiohttp==3.14.5

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

from aiohttp import web
from azure.core import MatchConditions
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient

CASES = {
    "IfMissing": {"match_condition": MatchConditions.IfMissing},
    "IfMissing, etag=None": {"match_condition": MatchConditions.IfMissing, "etag": None},
    "IfPresent": {"match_condition": MatchConditions.IfPresent},
    "IfPresent, etag=None": {"match_condition": MatchConditions.IfPresent, "etag": None},
    "IfNotModified, etag": {"match_condition": MatchConditions.IfNotModified, "etag": '"1"'},
}


async def main() -> dict[str, str]:
    requests: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        requests.append(" ".join(f"{name}: {value}" for name, value in request.headers.items() if "Match" in name))
        return web.Response(status=201, headers={"ETag": '"2"', "Last-Modified": "Sat, 28 Nov 2026 12:00:00 GMT"})

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    seen: dict[str, str] = {}
    async with BlobClient(f"http://{host}:{port}/account", "container", "blob", credential="a2V5", retry_total=0) as blob:
        for name, options in CASES.items():
            before = len(requests)
            try:
                await blob.commit_block_list([BlobBlock("YQ==")], **options)
                seen[name] = requests[-1]
            except TypeError as error:
                seen[name] = f"TypeError: {error} ({len(requests) - before} requests)"
    await runner.cleanup()
    return seen


print(f"azure-storage-blob {version('azure-storage-blob')}, aiohttp {version('aiohttp')}: commit_block_list")
seen = asyncio.run(main())
for name, what in seen.items():
    print(f"  {name:22} {what}")
expected = "TypeError: ClientSession._request() got an unexpected keyword argument 'etag' (0 requests)"
assert seen == {
    "IfMissing": "If-None-Match: *",
    "IfMissing, etag=None": expected,
    "IfPresent": "If-Match: *",
    "IfPresent, etag=None": expected,
    "IfNotModified, etag": 'If-Match: "1"',
}, "the behaviour has changed"
PYTHON
