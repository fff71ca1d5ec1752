"""One bit of Azurite's files changes: what it changes is refused and named, and all else is served."""

import asyncio
import hashlib
import io
import os
import re
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from localcloud import azurite_install
from localcloud.azurite import AzuriteServer
from localcloud.azurite_install import AzuriteError
from localcloud.testing import LocalCloud

INDEXES = ("__azurite_db_blob__.json", "__azurite_db_blob_extent__.json")
SUPPORT = Path(__file__).parents[2] / "support"
SLOW_FOLDERS = SUPPORT / "slow_folders.js"
SIZES = {"small": 100, "large": 2_500_000, "last": 100}


def blobs(port: int) -> BlobServiceClient:
    connection = LocalCloud({"blob": port}, Path()).blob_connection_string
    return BlobServiceClient.from_connection_string(connection, retry_total=0)


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def write_earlier_sums(extent: Path) -> None:
    """Checksums as an earlier version kept them: the begin of a SHA-256."""
    sums, content = extent.with_name(f"{extent.name}.sums"), extent.read_bytes()
    lines = []
    for line in sums.read_text().splitlines():
        begin, size, _ = line.split()
        piece = content[int(begin) : int(begin) + int(size)]
        lines.append(f"{begin} {size} {hashlib.sha256(piece).hexdigest()[:16]}\n")
    sums.write_text("".join(lines))


async def write(songs: ContainerClient, name: str, size: int) -> None:
    blob = songs.get_blob_client(name)
    # One request, whatever its size.
    await blob.stage_block("YQ==", io.BytesIO(Random(name).randbytes(size)), length=size)
    await blob.commit_block_list([BlobBlock("YQ==")])


async def refused(songs: ContainerClient) -> set[str]:
    """The blobs that can't be read; the others are what was written."""
    found = set()
    for name, size in SIZES.items():
        try:
            content = await (await songs.download_blob(name)).readall()
        except HttpResponseError:
            found.add(name)
        else:
            assert content == Random(name).randbytes(size), name
    return found


async def _store(folder: Path) -> None:
    async with AzuriteServer(folder) as server, blobs(server.port) as client:
        songs = await client.create_container("songs")
        for name, size in SIZES.items():
            await write(songs, name, size)
        assert await refused(songs) == set()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which an Azurite that has ended has stored SIZES."""
    folder = tmp_path_factory.mktemp("written")
    asyncio.run(_store(folder))
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def extent(folder: Path) -> Path:
    """The file that has the bytes of all blobs."""
    (sums,) = (folder / "__blobstorage__").glob("*.sums")
    return sums.with_suffix("")


async def test_a_changed_bit_in_the_bytes_of_a_blob_is_named_when_it_is_read(
    folder: Path, extent: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AzuriteServer(folder) as server, blobs(server.port) as client:
        songs = client.get_container_client("songs")
        assert await refused(songs) == set()
        # While it runs. The first blob is before it, the last one behind it.
        flip(extent, 8 * 1_500_000)
        assert await refused(songs) == {"large"}
        assert f"{extent} is damaged: bytes 1048676 to 2097252 are not what was written." in caplog.text
        # Of a range that a reader asks for, no byte goes out that is not known to be good.
        begin = await songs.download_blob("large", offset=0, length=1_000)
        assert await begin.readall() == Random("large").randbytes(1_000)
        with pytest.raises(HttpResponseError):
            await songs.download_blob("large", offset=2_000_000, length=10)
        # Written anew it is whole.
        await write(songs, "large", SIZES["large"])
        assert await refused(songs) == set()


async def test_a_changed_bit_in_the_checksums_is_named_too(
    folder: Path, extent: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sums = extent.with_name(f"{extent.name}.sums")
    flip(sums, Random(7).randrange(8 * sums.stat().st_size))
    async with AzuriteServer(folder) as server, blobs(server.port) as client:
        assert await refused(client.get_container_client("songs"))
    assert re.search(rf"{extent.name}(.sums)? is damaged: ", caplog.text)


@pytest.mark.parametrize("index", INDEXES)
async def test_azurite_does_not_start_on_a_changed_index(folder: Path, index: str) -> None:
    file = folder / index
    flip(file, Random(index).randrange(8 * file.stat().st_size))
    with pytest.raises(AzuriteError, match=f"{index} is damaged: it is not what was written"):
        await AzuriteServer(folder).__aenter__()


async def test_a_size_that_no_checksum_is_of_is_named(
    folder: Path, extent: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sums = extent.with_name(f"{extent.name}.sums")
    lines = sums.read_text().splitlines()
    assert lines[0].startswith("0 100 ")
    # Of a changed digit.
    lines[1] = lines[1].replace(" 1048576 ", " 9048576 ")
    sums.write_text("".join(f"{line}\n" for line in lines))
    async with AzuriteServer(folder) as server, blobs(server.port) as client:
        assert await refused(client.get_container_client("songs")) == {"large", "last"}
    assert f"{extent} is damaged: bytes 100 to 9048676 are not what was written." in caplog.text


async def test_checksums_of_an_earlier_version_are_compared(folder: Path, extent: Path) -> None:
    write_earlier_sums(extent)
    async with AzuriteServer(folder) as server, blobs(server.port) as client:
        songs = client.get_container_client("songs")
        assert await refused(songs) == set()
        flip(extent, 8 * 1_500_000)
        assert await refused(songs) == {"large"}


async def test_files_of_an_earlier_version_are_read(folder: Path, extent: Path) -> None:
    extent.with_name(f"{extent.name}.sums").unlink()
    for index in INDEXES:
        file = folder / index
        file.write_text(re.sub('^{"sha256":"[0-9a-f]+",', "{", file.read_text()))
    async with AzuriteServer(folder) as server, blobs(server.port) as client:
        assert await refused(client.get_container_client("songs")) == set()


async def test_blobs_that_are_written_while_the_first_one_waits_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", f"--require={SLOW_FOLDERS}")
    async with AzuriteServer(tmp_path) as server, blobs(server.port) as client:
        songs = await client.create_container("songs")
        names = [f"song-{number}" for number in range(8)]
        # The first one of an extent waits for its folder. The others are recorded before it.
        await asyncio.gather(*(write(songs, name, 5_000) for name in names))
        for name in names:
            assert await (await songs.download_blob(name)).readall() == Random(name).randbytes(5_000)


def test_checksums_of_the_files_that_were_read_last_are_recalled(tmp_path: Path) -> None:
    program, modules = azurite_install.find()
    done = subprocess.run(
        [program, SUPPORT / "read_extents.js", azurite_install.HERE, tmp_path],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    # Each of 40 files once, however often it was read; the first of them once more.
    assert done.stdout == "40 1\n"
