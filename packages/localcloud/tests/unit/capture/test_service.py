"""Capture of several hubs over real logs: none waits for another's files, and one that grows is shared out anew."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from localcloud.capture import partition_capture
from localcloud.capture.declaration import CaptureConfig
from localcloud.capture.service import CaptureService
from localcloud.capture.state_file import PlannedFile
from localcloud.config import HubConfig
from localcloud.log.batch import build
from localcloud.log.store import LogStore
from localcloud.testing.waiting import wait_for_async

T0_MS = 1_700_000_000_000
LATER_MS = T0_MS + 10**9
CONFIG = CaptureConfig("archive", skip_empty=True)


class NamedBlobs:
    """The names of blobs. Those of the hub `held` are not there before `released` is set."""

    def __init__(self, held: str = "") -> None:
        self._held = held
        self.begun, self.released = asyncio.Event(), asyncio.Event()
        self.names: list[str] = []

    async def exists(self, container: str, name: str) -> bool:
        return name in self.names

    async def write(self, container: str, name: str, pieces: AsyncIterator[bytes]) -> None:
        self.begun.set()
        async for _ in pieces:
            if self._held and self._held in name:
                await self.released.wait()
        self.names.append(name)

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@asynccontextmanager
async def captured(folder: Path, blobs: NamedBlobs, *hubs: str) -> AsyncIterator[LogStore]:
    """Hubs of one partition, each of whose windows is over at once."""
    container: Any = blobs
    declared = [HubConfig(hub, 1, capture=CONFIG) for hub in hubs]
    async with (
        LogStore.open(folder, declared, lambda: T0_MS) as store,
        CaptureService(store, container, lambda: LATER_MS),
    ):
        yield store


async def append(store: LogStore, hub: str) -> None:
    await store.hub(hub).partitions[0].append(build([(None, b"event")], T0_MS))


def has(blobs: NamedBlobs, files: int) -> Callable[[], Any]:
    async def found() -> bool:
        return len(blobs.names) == files

    return found


async def test_a_hub_does_not_wait_for_a_file_of_another(tmp_path: Path) -> None:
    blobs = NamedBlobs(held="slow")
    async with captured(tmp_path, blobs, "slow", "other") as store:
        await append(store, "slow")
        await asyncio.wait_for(blobs.begun.wait(), 60)
        await append(store, "other")
        await wait_for_async(has(blobs, 1), "a file of the other hub")
        assert "other" in blobs.names[0]
        blobs.released.set()
        await wait_for_async(has(blobs, 2), "both files")


async def test_partitions_that_are_added_have_their_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[int] = []

    def spread_s(_: PlannedFile, __: int, partitions: int, ___: int) -> float:
        shares.append(partitions)
        return 0.0

    monkeypatch.setattr(partition_capture, "spread_s", spread_s)
    blobs = NamedBlobs()
    async with captured(tmp_path, blobs, "growing") as store:
        await append(store, "growing")
        await wait_for_async(has(blobs, 1), "a file of the first window")
        store.grow_hub("growing", 4)
        await append(store, "growing")
        await wait_for_async(has(blobs, 2), "a file of the next one")
    assert shares == [1, 4]
