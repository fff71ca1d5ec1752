"""A listing of an archive is shared by those who ask at the same time, and is never older than the question."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from azure.core.exceptions import ServiceRequestError

from songline.processors.history.archive.blob_files import BlobFiles
from songline.processors.history.archive.name_format import NameFormat

NAMES = NameFormat.default("music-events")


class Blob:
    size, etag = 3, "e"

    def __init__(self, minute: int) -> None:
        self.name = f"ns/music-events/0/2026/11/22/12/{minute:02}/00.avro"


class SlowContainer:
    """A container that gets a file with each listing that is begun; `fails` of them fail."""

    def __init__(self, fails: int = 0) -> None:
        self.begun = 0
        self._fails = fails

    async def list_blobs(self, name_starts_with: str | None) -> AsyncIterator[Blob]:
        self.begun += 1
        number = self.begun
        await asyncio.sleep(0)
        if number <= self._fails:
            raise ServiceRequestError("away")
        for minute in range(number):
            yield Blob(minute)
            await asyncio.sleep(0)


async def test_those_who_ask_at_once_share_a_listing() -> None:
    container = SlowContainer()
    files = BlobFiles(cast(Any, container), NAMES)
    found = await asyncio.gather(*(files.list() for _ in range(32)))
    assert container.begun == 2
    assert [len(one or ()) for one in found] == [1] + [2] * 31
    # Whoever asks later sees what came meanwhile.
    assert len(await files.list() or ()) == 3


async def test_a_listing_is_kept_for_what_is_over_soon_until_it_is_forgotten() -> None:
    container = SlowContainer()
    files = BlobFiles(cast(Any, container), NAMES, keeps_listing=True)
    for _ in range(2):
        found = await asyncio.gather(*(files.list() for _ in range(8)))
        assert [len(one or ()) for one in found] == [1] * 8
    files.forget_listing()
    assert [len(await files.list() or ()) for _ in range(2)] == [2, 2]
    assert container.begun == 2


async def test_a_listing_is_never_older_than_the_question() -> None:
    container = SlowContainer()
    files = BlobFiles(cast(Any, container), NAMES)

    async def ask() -> None:
        for _ in range(20):
            before = container.begun
            assert len(await files.list() or ()) > before

    await asyncio.gather(*(ask() for _ in range(8)))
    assert container.begun <= 8 * 20


async def test_one_that_fails_or_is_cancelled_fails_nobody_else() -> None:
    files = BlobFiles(cast(Any, SlowContainer(fails=1)), NAMES)
    first, second, third = (asyncio.create_task(files.list()) for _ in range(3))
    with pytest.raises(ServiceRequestError):
        await first
    second.cancel()
    assert len(await third or ()) >= 2
