"""The power goes while blobs are written: what was answered is there, byte for byte, and nothing stops Azurite."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random

import pytest
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobBlock, BlobType
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from localcloud.azurite import AzuriteServer
from localcloud.testing import LocalCloud
from localcloud.testing.waiting import has_ended, wait_for

DURABLE_FILES = Path(__file__).parents[2] / "support" / "durable_files.js"
ROUNDS = 3
WRITERS = 3


def blobs(port: int) -> BlobServiceClient:
    connection = LocalCloud({"blob": port}, Path()).blob_connection_string
    return BlobServiceClient.from_connection_string(connection, retry_total=0)


def restore(shadow: Path, inode: int, folder: Path) -> None:
    """Write what was synced of the folder with this inode, as it is after the power is back."""
    folder.mkdir(mode=0o700)
    synced = shadow / f"folder-{inode}"
    names: Mapping[str, Mapping[str, int]] = json.loads(synced.read_text()) if synced.exists() else {}
    for name, found in names.items():
        if found["isFolder"]:
            restore(shadow, found["inode"], folder / name)
        else:
            # The name of a file may be there without a byte of it.
            content = shadow / f"file-{found['inode']}"
            (folder / name).write_bytes(content.read_bytes() if content.exists() else b"")


async def write(songs: ContainerClient, writer: int, number: int, random: Random, answered: dict[str, bytes]) -> None:
    """Write blobs in each way until the power goes; what was answered is in `answered`."""
    while True:
        number += 1
        name, content = f"{writer}-{number}", random.randbytes(random.choice((0, 1, 70_000, 900_000)))
        match number % 4:
            case 0:
                await songs.upload_blob(name, content)
            case 1:
                blob = songs.get_blob_client(name)
                half = len(content) // 2
                for block, part in (("YQ==", content[:half] or b"x"), ("Yg==", content[half:] or b"x")):
                    await blob.stage_block(block, part)
                content = (content[:half] or b"x") + (content[half:] or b"x")
                await blob.commit_block_list([BlobBlock("YQ=="), BlobBlock("Yg==")])
            case 2:
                content = content or b"x"
                await songs.upload_blob(name, content, blob_type=BlobType.APPENDBLOB)
            case _:
                await songs.upload_blob("shared", content, overwrite=True)
                await songs.upload_blob(name, content)
                await songs.delete_blob(name)
                continue
        answered[name] = content


async def test_what_was_answered_outlives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(7)
    shadow, data = tmp_path / "shadow", tmp_path / "data"
    monkeypatch.setenv("NODE_OPTIONS", f"--require={DURABLE_FILES}")
    monkeypatch.setenv("SHADOW_FOLDER", str(shadow))
    data.mkdir()
    answered: dict[str, bytes] = {}
    for life in range(ROUNDS):
        shutil.rmtree(shadow, ignore_errors=True)
        shadow.mkdir()
        keep_all(data, shadow)
        inode = data.stat().st_ino
        least = len(answered) + random.randint(2, 12)
        async with AzuriteServer(data) as server, blobs(server.port) as client:
            songs = client.get_container_client("songs")
            if life == 0:
                await songs.create_container()
            for name, content in answered.items():
                assert await (await songs.download_blob(name)).readall() == content, name
            writers = [
                asyncio.create_task(write(songs, writer, life * 1_000, random, answered)) for writer in range(WRITERS)
            ]
            while len(answered) < least:
                await asyncio.wait(writers, timeout=0.01)
                assert not [task.exception() for task in writers if task.done()]
            os.kill(server.pid, signal.SIGKILL)
            wait_for(partial(has_ended, server.pid), "Azurite to end")
            for ended in await asyncio.gather(*writers, return_exceptions=True):
                assert isinstance(ended, AzureError), ended
        shutil.rmtree(data)
        restore(shadow, inode, data)
    async with AzuriteServer(data) as server, blobs(server.port) as client:
        songs = client.get_container_client("songs")
        for name, content in answered.items():
            assert await (await songs.download_blob(name)).readall() == content, name


def keep_all(folder: Path, shadow: Path) -> None:
    """What is there at the start is on disk."""
    names = {}
    for found in folder.iterdir():
        names[found.name] = {"inode": found.stat().st_ino, "isFolder": found.is_dir()}
        if found.is_dir():
            keep_all(found, shadow)
        else:
            shutil.copyfile(found, shadow / f"file-{found.stat().st_ino}")
    (shadow / f"folder-{folder.stat().st_ino}").write_text(json.dumps(names))
