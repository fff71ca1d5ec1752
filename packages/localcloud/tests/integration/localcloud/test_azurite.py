"""Blob Storage that lives and dies with the process that serves it."""

import asyncio
import base64
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.core.pipeline import PipelineResponse
from azure.storage.blob import BlobBlock, BlobType
from azure.storage.blob.aio import BlobServiceClient

from localcloud import azurite_install
from localcloud.azurite import AzuriteServer
from localcloud.azurite_install import AzuriteError
from localcloud.testing import LocalCloud
from localcloud.testing.free_ports import free_ports
from localcloud.testing.waiting import has_ended, wait_for

SUPPORT = Path(__file__).parents[2] / "support"
HOLDER = """
import asyncio, sys
from pathlib import Path
from localcloud.azurite import AzuriteServer

async def main():
    async with AzuriteServer(Path(sys.argv[1]), port=int(sys.argv[2])) as server:
        print(server.port, server.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def blobs(port: int) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(LocalCloud({"blob": port}, Path()).blob_connection_string)


@pytest.fixture
def free_port() -> Iterator[int]:
    """One that is still free when the server comes again."""
    with free_ports(1) as ports:
        yield ports[0]


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path, free_port: int) -> None:
    async with AzuriteServer(tmp_path, port=free_port) as server, blobs(server.port) as client:
        songs = await client.create_container("songs")
        await songs.upload_blob("abc", b"audio")
    async with AzuriteServer(tmp_path, port=server.port) as again, blobs(again.port) as client:
        stored = client.get_blob_client("songs", "abc")
        assert await (await stored.download_blob()).readall() == b"audio"
        with pytest.raises(ResourceExistsError):
            await stored.upload_blob(b"other", overwrite=False)


async def test_metadata_of_any_name_is_there_after_a_restart(tmp_path: Path) -> None:
    # So fields of the database are named that has Azurite's index.
    names = ("ttl", "constraints", "persistenceadapter", "data", "binaryindices", "lokiconsolewrapper")
    metadata = dict.fromkeys(names, "300")
    async with AzuriteServer(tmp_path) as server, blobs(server.port) as client:
        songs = await client.create_container("songs", metadata=metadata)
        await songs.upload_blob("abc", b"audio", metadata=metadata)
        await songs.upload_blob("other", b"audio")
    async with AzuriteServer(tmp_path, port=server.port) as again, blobs(again.port) as client:
        songs = client.get_container_client("songs")
        assert (await songs.get_container_properties()).metadata == metadata
        found = {blob.name: blob.metadata or {} async for blob in songs.list_blobs(include=["metadata"])}
        assert found == {"abc": metadata, "other": {}}


async def test_what_was_answered_outlives_a_kill(tmp_path: Path, free_port: int) -> None:
    async with AzuriteServer(tmp_path, port=free_port) as server, blobs(server.port) as client:
        songs = await client.create_container("songs")
        await songs.upload_blob("first", b"audio")
        os.kill(server.pid, signal.SIGKILL)
        wait_for(partial(has_ended, server.pid), "Azurite to end")
    for number in range(3):
        async with AzuriteServer(tmp_path, port=server.port) as server, blobs(server.port) as client:
            songs = client.get_container_client("songs")
            await songs.upload_blob(f"whole-{number}", b"audio")
            parts = songs.get_blob_client(f"parts-{number}")
            await parts.stage_block("YQ==", b"au")
            await parts.stage_block("Yg==", b"dio")
            await parts.commit_block_list([BlobBlock("YQ=="), BlobBlock("Yg==")])
            if number:
                await songs.get_blob_client("appended").append_block(b"audio")
            else:
                await songs.upload_blob("appended", b"audio", blob_type=BlobType.APPENDBLOB)
            copied = songs.get_blob_client(f"copied-{number}")
            await copied.start_copy_from_url(songs.get_blob_client("first").url, requires_sync=True)
            os.kill(server.pid, signal.SIGKILL)
            wait_for(partial(has_ended, server.pid), "Azurite to end")
    async with AzuriteServer(tmp_path, port=server.port) as server, blobs(server.port) as client:
        songs = client.get_container_client("songs")
        names = ["first", *(f"{what}-{number}" for number in range(3) for what in ("whole", "parts", "copied"))]
        for name in names:
            assert await (await songs.download_blob(name)).readall() == b"audio", name
        assert await (await songs.download_blob("appended")).readall() == b"audio" * 3


def test_blocks_have_the_checksums_that_azurite_finds_by_itself() -> None:
    program, modules = azurite_install.find()
    done = subprocess.run(
        [program, SUPPORT / "compare_checksums.js", azurite_install.HERE],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    # That of "123456789", as catalogues of CRCs have it.
    assert done.stdout == "ae8b14860a799888\n"


def read_bytes(pid: int) -> int:
    """What a process has read so far, from files and sockets. Source: proc(5), /proc/PID/io."""
    return int(Path(f"/proc/{pid}/io").read_text().partition("rchar:")[2].split()[0])


def md5_of(response: PipelineResponse[Any, Any]) -> str | None:
    md5: str | None = response.http_response.headers.get("Content-MD5")
    return md5


async def test_a_range_has_its_md5_where_one_asks_and_costs_nothing_where_nobody_does(tmp_path: Path) -> None:
    size = 2**20 - 2
    content = os.urandom(size + 2)
    told: list[str | None] = []

    async with AzuriteServer(tmp_path) as server, blobs(server.port) as client:
        songs = await client.create_container("songs")
        stored = songs.get_blob_client("blocks")
        for name, part in (("YQ==", content[:1_000]), ("Yg==", content[1_000:])):
            await stored.stage_block(name, part)
        await stored.commit_block_list([BlobBlock("YQ=="), BlobBlock("Yg==")])

        async def ranged(name: str, begin: int, count: int, *, asked: bool) -> None:
            stream = await songs.get_blob_client(name).download_blob(
                offset=begin,
                length=count,
                validate_content=asked,
                raw_response_hook=lambda one: told.append(md5_of(one)),
            )
            assert await stream.readall() == content[begin : begin + count]

        await songs.upload_blob("whole", content)
        for name in ("blocks", "whole"):
            # One read for the answer, one that compares what is there with what was written.
            before = read_bytes(server.pid)
            await ranged(name, 1, size, asked=False)
            assert read_bytes(server.pid) - before < 2.9 * size
            await ranged(name, 999, size, asked=True)
            await ranged(name, 999, 2, asked=False)
    asked = base64.b64encode(hashlib.md5(content[999 : 999 + size], usedforsecurity=False).digest()).decode()
    assert told == [None, asked, None] * 2


async def test_a_block_has_its_checksum_and_is_not_read_again_for_it(tmp_path: Path) -> None:
    size = 2**20
    text, header = b"123456789", "x-ms-content-crc64"
    checksum = base64.b64encode(bytes.fromhex("ae8b14860a799888")[::-1]).decode()
    told: list[str | None] = []

    def note(response: PipelineResponse[Any, Any]) -> None:
        told.append(response.http_response.headers.get(header))

    async with AzuriteServer(tmp_path) as server, blobs(server.port) as client:
        stored = (await client.create_container("songs")).get_blob_client("song")
        await stored.stage_block("YQ==", text, headers={header: checksum}, raw_response_hook=note)
        await stored.stage_block("Yg==", text, validate_content=True, raw_response_hook=note)
        with pytest.raises(HttpResponseError, match="Crc64Mismatch"):
            await stored.stage_block("Yw==", text[1:], headers={header: checksum})
        before = read_bytes(server.pid)
        await stored.stage_block("ZA==", bytes(size))
        assert read_bytes(server.pid) - before < 1.5 * size
        await stored.commit_block_list([BlobBlock("YQ=="), BlobBlock("Yg=="), BlobBlock("ZA==")])
        assert await (await stored.download_blob()).readall() == 2 * text + bytes(size)
    assert told == [checksum, None]


async def test_its_end_is_noticed(tmp_path: Path) -> None:
    noticed = asyncio.Event()
    async with AzuriteServer(tmp_path, gone=noticed.set) as server:
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.wait_for(noticed.wait(), 60)


async def test_it_ends_in_good_order_when_its_holder_is_killed(tmp_path: Path, free_port: int) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path), str(free_port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        port, pid = (int(word) for word in (await holder.stdout.readline()).split())
        async with blobs(port) as client:
            songs = await client.create_container("songs")
            await songs.upload_blob("abc", b"audio")
            holder.kill()
        # On the same folder and port, at once: it waits for the one before.
        async with AzuriteServer(tmp_path, port=port) as server, blobs(server.port) as client:
            assert await (await client.get_blob_client("songs", "abc").download_blob()).readall() == b"audio"
        wait_for(lambda: has_ended(pid), "the first Azurite to end")
    finally:
        if holder.returncode is None:
            holder.kill()
        await holder.wait()


async def test_a_taken_port_is_said_in_azurites_own_words(tmp_path: Path) -> None:
    async with AzuriteServer(tmp_path / "one") as first:
        with pytest.raises(AzuriteError, match="EADDRINUSE"):
            await AzuriteServer(tmp_path / "two", port=first.port).__aenter__()
