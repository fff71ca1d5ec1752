"""The image of a shard is written of what is saved, and used where it fits the changelog."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import ContainerClient
from msgspec import structs

from songline.cloud import blobs
from songline.cloud.settings import read_blobs
from songline.processors.runtime.hub_metadata import HubDescription
from songline.processors.trending.cells.derived_file import encode_header, header_size
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.sealed_hours import SealedHours, pieces_of
from songline.processors.trending.cells.wire import no_rows
from songline.processors.trending.shards import shard_images, shard_loads
from songline.processors.trending.shards.saved_through import SavedThrough
from songline.processors.trending.shards.shard_image import (
    IN_IMAGE,
    MAGIC,
    ShardImage,
    TableSize,
    decode_shard_header,
)
from songline.processors.trending.shards.shard_images import LONGEST_MS, ShardImages
from songline.processors.trending.shards.shard_loads import ShardLoads
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.moments import milliseconds
from tests.support.localcloud import LocalCloud
from tests.support.trending import KEY
from tests.unit.trending.test_shard_parts import rows

NOW = datetime(2026, 11, 22, 14, 33, 30, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
HOUR = NOW_MS // HOUR_MS


class Hub:
    """The changelog of two shards."""

    def __init__(self, created_at: datetime = NOW, ends: tuple[int, int] = (0, 99)) -> None:
        self.created_at = created_at
        self.ends = ends

    async def describe(self) -> HubDescription:
        return HubDescription(self.created_at, frozenset("01"))

    async def read_ends(self, _: str) -> tuple[int, int]:
        return self.ends


def images(
    container: ContainerClient, hub: Hub | None = None, key: IdentityKey = KEY, shards: int = 2, now_ms: int = NOW_MS
) -> ShardImages:
    found: Any = hub or Hub()
    return ShardImages(SealedHours(container), found, key, shards, lambda: now_ms)


class Owner:
    """A worker that has the shard, whose changelog ends at offset 41."""

    def __init__(self, container: ContainerClient, name: str = "me") -> None:
        self.images = images(container)
        self.shard = Shard(0, name, KEY)
        self.shard.advance(NOW_MS)
        self.through: SavedThrough | None = SavedThrough(41, 0)
        self.saved: dict[str, bytes] = {}
        self.is_sent = True

    def count(self, listens: int) -> None:
        numbers = self.shard.songs
        self.shard.count(0, no_rows(), rows((numbers[f"song-{listens}"] << 10, HOUR, listens)), [])

    async def save(self) -> bool:
        if self.is_sent:
            values = self.shard.flush()
            self.saved |= {key: value for key, value in values.items() if value is not None}
            assert self.through is not None
            self.through.advance([self.through.offset + 1 + place for place in range(len(values))], 1)
        return self.is_sent

    async def write(self) -> None:
        await self.images.write(self.shard, asyncio.Lock(), lambda: self.through, self.save)


@asynccontextmanager
async def container_of(cloud: LocalCloud, name: str) -> AsyncIterator[ContainerClient]:
    async with blobs.client(read_blobs(cloud.environment)) as service:
        container = service.get_container_client(name)
        with suppress(ResourceExistsError):
            await container.create_container()
        yield container


async def loaded(found: ShardImages) -> ShardImage | None:
    """The image of shard 0."""
    return await found.load(0)


async def test_an_image_has_what_is_saved_up_to_its_offset(song_cloud: LocalCloud) -> None:
    async with container_of(song_cloud, "shard-image") as container:
        owner = Owner(container)
        owner.count(3)
        await owner.save()
        offset = owner.through.offset if owner.through else 0
        owner.count(4)
        await owner.write()
        image = await loaded(images(container))
        assert image is not None
        assert image.header.offset == offset
        assert {key for key, value in image.records.items() if value == IN_IMAGE} < owner.saved.keys()
        assert [len(table.rows) for table in image.tables.values()] == [2], "also what was saved after it was begun"
        assert owner.through is not None
        assert owner.through.size_bytes == 1, "but it was saved since"


async def test_what_is_not_saved_is_in_no_image(song_cloud: LocalCloud) -> None:
    async with container_of(song_cloud, "shard-image-unsaved") as container:
        owner = Owner(container)
        owner.count(3)
        await owner.save()
        owner.is_sent = False
        await owner.write()
        assert await loaded(images(container)) is None
        owner.is_sent, owner.through = True, None
        await owner.write()
        assert await loaded(images(container)) is None, "a save has not come to its end"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"hub": Hub(created_at=NOW + timedelta(seconds=1))}, "created at"),
        ({"hub": Hub(ends=(0, 10))}, "the changelog has 0 to 10"),
        ({"hub": Hub(ends=(60, 99))}, "the changelog has 60 to 99"),
        ({"key": IdentityKey(bytes(range(16)))}, "made under the key"),
        ({"shards": 3}, "one shard of 2, here are 3"),
        ({"now_ms": NOW_MS + LONGEST_MS + 1}, "ms ago"),
        ({"now_ms": NOW_MS - 1}, "ms ago"),
    ],
)
async def test_an_image_that_does_not_fit_is_not_used(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture, changed: dict[str, Any], why: str
) -> None:
    async with container_of(song_cloud, "shard-image-fit") as container:
        owner = Owner(container)
        owner.count(3)
        await owner.save()
        await owner.write()
        assert await loaded(images(container)) is not None
        assert await loaded(images(container, **changed)) is None
        assert "can't be used, it is restored by its changelog" in caplog.text
        assert why in caplog.text


async def test_a_damaged_image_is_not_used_and_a_missing_one_is_no_news(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture
) -> None:
    async with container_of(song_cloud, "shard-image-damaged") as container:
        assert await loaded(images(container)) is None
        assert "image" not in caplog.text
        await container.upload_blob("shards/0.image", b"not an image at all")
        assert await loaded(images(container)) is None
        assert "can't be used" in caplog.text


async def written(container: ContainerClient) -> bytes:
    """The image of shard 0, as it was written."""
    owner = Owner(container)
    owner.count(3)
    await owner.save()
    await owner.write()
    return await (await container.download_blob("shards/0.image")).readall()


@pytest.mark.parametrize(("prefix", "shard"), [("", 1), ("v2/", 0)])
async def test_an_image_of_another_shard_or_version_is_not_used(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture, prefix: str, shard: int
) -> None:
    hub: Any = Hub()
    async with container_of(song_cloud, "shard-image-other") as container:
        name = f"{prefix}shards/{shard}.image"
        await container.upload_blob(name, await written(container), overwrite=True)
        found = ShardImages(SealedHours(container, prefix), hub, KEY, 2, lambda: NOW_MS)
        assert await found.load(shard) is None
        assert f"made as 'shards/0.image', here is '{name}'" in caplog.text


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"keys": ["0/me/hour/many/0/0"]}, "is no key of a shard"),
        ({"keys": ["1/me/hour/7/0/0"]}, "is no key of partition 0"),
        ({"keys": ["0/me/head"]}, "is no key of a table"),
        ({"records": {"0/me/head": b"no head"}}, "not-an-event"),
        ({"records": {"0/me/waiting/0": b"\x91\x92\xa1s\xff"}}, "no day of a song"),
        ({"tables": [TableSize("hour", 1 << 40, 0, 1, 1)]}, "bucket is"),
        ({"tables": [TableSize("hour", HOUR, -1, 1, 1)]}, "source is -1"),
        ({"tables": [TableSize("hour", HOUR, 0, 1 << 50, 1)]}, "bytes of columns, expected"),
        ({"songs": ["no id"]}, "it names a song that is none"),
    ],
)
async def test_an_image_is_held_to_the_rules_that_records_are_held_to(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture, changed: dict[str, Any], why: str
) -> None:
    async with container_of(song_cloud, "shard-image-rules") as container:
        image = await written(container)
        header = decode_shard_header(image)
        columns = image[header_size(MAGIC, image) :]
        foreign = encode_header(MAGIC, structs.replace(header, **changed)) + columns
        await container.upload_blob("shards/0.image", foreign, overwrite=True)
        assert await loaded(images(container)) is None
        assert "can't be used, it is restored by its changelog" in caplog.text
        assert why in caplog.text


@pytest.mark.parametrize("is_foreign", [True, False])
async def test_of_an_image_that_can_not_be_used_no_more_is_read_than_says_so(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, is_foreign: bool
) -> None:
    read: list[bytes] = []

    async def in_small_pieces(stream: Any) -> AsyncIterator[bytes]:
        async for piece in pieces_of(stream):
            for begin in range(0, len(piece), 10):
                read.append(piece[begin : begin + 10])
                yield read[-1]

    async with container_of(song_cloud, "shard-image-large") as container:
        image = await written(container)
        begin = b"a film of two hours" if is_foreign else image
        await container.upload_blob("shards/0.image", begin + bytes(100_000), overwrite=True)
        monkeypatch.setattr(shard_images, "pieces_of", in_small_pieces)
        assert await loaded(images(container)) is None
        assert ("it begins with b'a fi'" if is_foreign else "bytes of columns, expected") in caplog.text
        assert sum(map(len, read)) <= (20 if is_foreign else header_size(MAGIC, image) + 10)


async def test_two_owners_write_one_image(song_cloud: LocalCloud) -> None:
    async with container_of(song_cloud, "shard-image-two") as container:
        owners = [Owner(container, name) for name in ("one", "two")]
        for owner in owners:
            owner.count(3)
            await owner.save()
        await asyncio.gather(*(owner.write() for owner in owners))
        image = await loaded(images(container))
        assert image is not None
        assert {key.split("/")[1] for key in image.header.keys} in ({"one"}, {"two"})


async def test_an_image_with_too_long_a_header_is_not_made_again_at_once(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_images, "IMAGE_BYTES", 1)
    async with container_of(song_cloud, "shard-image-header") as container:
        owner = Owner(container)
        owner.count(3)
        await owner.save()
        assert owner.through is not None
        assert owner.images.is_due(0, owner.through)
        monkeypatch.setattr(shard_images, "MAX_HEADER_BYTES", 10)
        await owner.write()
        assert "would have a header of" in caplog.text
        assert await loaded(images(container)) is None
        assert not owner.images.is_due(0, owner.through), "it would be as long"


async def test_an_image_that_does_not_come_in_time_is_not_waited_for(
    song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mute(Hub):
        async def describe(self) -> HubDescription:
            await asyncio.Event().wait()
            raise AssertionError

    def fill(*_: object) -> Shard:
        raise AssertionError

    async with container_of(song_cloud, "shard-image-late") as container:
        owner = Owner(container)
        await owner.save()
        await owner.write()
        monkeypatch.setattr(shard_loads, "LOAD_S", 0.01)
        loads = ShardLoads(images(container, Mute()), fill)
        assert await loads.images({0}) == {}
        assert loads.take({0}) == {}
        assert "does not come in time" in caplog.text


def test_an_image_is_due_when_enough_was_saved_since(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere: Any = None
    found = images(nowhere)
    monkeypatch.setattr(shard_images, "IMAGE_BYTES", 10)
    through = SavedThrough(0, 20)
    assert not found.is_due(0, through), "what was taken over is not flushed"
    through.advance([1], 0)
    assert found.is_due(0, through)
    found._sizes[0] = 41
    assert not found.is_due(0, through), "half of its size was not saved since"
    through.size_bytes = 21
    assert found.is_due(0, through)
    through.advance([3], 0)
    assert not found.is_due(0, through), "it would cover no more than the one before"
