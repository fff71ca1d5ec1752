"""A worker's charges are counted beside it, whatever it does: writes, reads, queries, batches that lose."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.charged import CHARGE, JOURNAL, Tally, command, read_journal

WORKER = """
import asyncio, sys, aiohttp
KINDS = {"created": "POST", "lost": "PATCH", "query": "POST", "read": "GET", "batch": "POST", "written": "POST"}
async def main():
    async with aiohttp.ClientSession() as session:
        for kind, method in KINDS.items():
            headers = {"x-ms-documentdb-isquery": "True"} if kind == "query" else {}
            if kind in ("batch", "written"):
                headers["x-ms-cosmos-is-batch-request"] = "True"
            async with session.request(method, f"URL/{kind}", data=b'BODY', headers=headers) as answer:
                assert await answer.read()
asyncio.run(main())
assert __name__ == "__main__" and len(sys.argv) == 1
"""
BODY = '[{"resourceBody":{"id":"root","flushes":7,"runs":["x"]}}]'
ANSWERS = {
    "created": (201, 5.5, "{}"),
    "lost": (412, 1.25, "{}"),
    "query": (200, 2.5, "{}"),
    "read": (200, 1.0, "{}"),
    "written": (200, 4.0, "[]"),
    "batch": (207, 0.25, '[{"statusCode": 424}, {"statusCode": 409}]'),
}


async def test_charges_are_counted_by_kind(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        status, charge, text = ANSWERS[request.match_info["kind"]]
        return web.Response(status=status, text=text, headers={CHARGE: str(charge)})

    app = web.Application()
    app.router.add_route("*", "/{kind}", answer)
    async with TestServer(app) as server:
        (tmp_path / "worker.py").write_text(WORKER.replace("URL", str(server.make_url("/"))[:-1]).replace("BODY", BODY))
        tally = tmp_path / "tally"
        assert Tally.read(tally) == Tally()
        environment = {**os.environ, JOURNAL: str(tmp_path / "journal")}
        worker = await asyncio.create_subprocess_exec(
            *command(sys.executable, tally, "worker"),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            env=environment,
        )
        _, said = await worker.communicate()
        assert worker.returncode == 0, said.decode()
    total = Tally.read(tally)
    assert total == Tally(
        charge=14.5,
        writes=4,
        reads=2,
        batches=2,
        conflicts=1,
        throttled=0,
        write_charge=11.0,
        write_bytes=4 * len(BODY),
    )
    assert read_journal(tmp_path / "journal") == [{"id": "root", "flushes": 7}]
    assert total.since(total) == Tally()
    assert Tally().plus(total) == total
