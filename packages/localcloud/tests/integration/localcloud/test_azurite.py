"""Blob Storage that lives and dies with the process that serves it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from localcloud.azurite import AzuriteServer
from localcloud.azurite_install import AzuriteError
from localcloud.testing import LocalCloud
from localcloud.testing.waiting import wait_for

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


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    async with AzuriteServer(tmp_path) as server, blobs(server.port) as client:
        songs = await client.create_container("songs")
        await songs.upload_blob("abc", b"audio")
    async with AzuriteServer(tmp_path, port=server.port) as again, blobs(again.port) as client:
        stored = client.get_blob_client("songs", "abc")
        assert await (await stored.download_blob()).readall() == b"audio"
        with pytest.raises(ResourceExistsError):
            await stored.upload_blob(b"other", overwrite=False)


async def test_its_end_is_noticed(tmp_path: Path) -> None:
    gone = asyncio.Event()
    async with AzuriteServer(tmp_path, gone=gone.set) as server:
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.wait_for(gone.wait(), 60)


async def test_it_ends_in_good_order_when_its_holder_is_killed(tmp_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path), "0", stdout=asyncio.subprocess.PIPE
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
        wait_for(lambda: not running(pid), "the first Azurite to end")
    finally:
        if holder.returncode is None:
            holder.kill()
        await holder.wait()


async def test_a_taken_port_is_said_in_azurites_own_words(tmp_path: Path) -> None:
    async with AzuriteServer(tmp_path / "one") as first:
        with pytest.raises(AzuriteError, match="EADDRINUSE"):
            await AzuriteServer(tmp_path / "two", port=first.port).__aenter__()
