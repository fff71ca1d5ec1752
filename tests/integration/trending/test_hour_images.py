"""An open hour is loaded by its image, and counts as it does by its blocks, whatever is in the image."""

import asyncio

import pytest
from azure.core.exceptions import ResourceModifiedError

from songline.processors.trending.cells import hour_images
from songline.processors.trending.cells.chunks import encode_mark
from songline.processors.trending.cells.hour_marks import mark_key
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.loaded_actions import LoadedActions
from songline.processors.trending.cells.sealed_hours import SealedHours, blob_name, image_name
from songline.processors.trending.spans import HOUR_MS
from tests.support.hour_storage import HourStorage, hour_storage
from tests.support.localcloud import LocalCloud
from tests.support.open_hour import HOUR, NOW_MS, Successor, partition, play, seal
from tests.support.trending import KEY

IMAGE = image_name(0, HOUR)


class Owner:
    """A worker that counts the hour, and seals what is saved of it."""

    def __init__(self, stored: HourStorage, key: IdentityKey = KEY) -> None:
        self.stored = stored
        self.source = partition()
        self.store = stored.store(key)

    async def load(self) -> None:
        play(self.source, range(1_000, 1_001))
        await self.store.load_missing({0: self.source.cells}, NOW_MS)
        assert not self.source.cells.missing()

    async def seal(self, users: range) -> None:
        """Count plays, seal them in a block, and write the image if it is due."""
        play(self.source, users)
        values = {key: value for key, value in self.source.take_changes(NOW_MS).chunks.items() if value is not None}
        self.stored.saved.update({key.encode(): value for key, value in values.items()})
        # What was sealed stays in the changelog until it is deleted there.
        await self.store.seal(self.source, HOUR, list(values), lambda: False)
        self.source.cells.is_saved = True
        sealed = await self.stored.hours.blocks(0, HOUR)
        self.stored.saved.clear()
        self.stored.saved[mark_key(0, HOUR).encode()] = encode_mark(sum(one.size for one in sealed))

    async def save(self, now_ms: int = NOW_MS) -> None:
        await self.store.save_images(self.source, asyncio.Lock(), now_ms)


@pytest.fixture(autouse=True)
def _small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hour_images, "IMAGE_BYTES", 1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """At which bytes the blocks begin that were read."""
    found: list[int] = []
    add_block = LoadedActions.add_block

    async def noted(loaded: LoadedActions, number: int, block: bytes, start: int) -> None:
        found.append(start)
        await add_block(loaded, number, block, start)

    monkeypatch.setattr(LoadedActions, "add_block", noted)
    return found


async def owner_with_image(stored: HourStorage, users: range) -> Owner:
    owner = Owner(stored)
    await owner.load()
    await owner.seal(users)
    await owner.save()
    return owner


async def names(stored: HourStorage) -> set[str]:
    return {one.name async for one in stored.container.list_blobs()}


async def image(stored: HourStorage) -> bytes:
    return await (await stored.container.download_blob(IMAGE)).readall()


@pytest.mark.parametrize("is_early", [True, False])
async def test_what_an_image_covers_is_not_read(song_cloud: LocalCloud, read: list[int], is_early: bool) -> None:
    async with hour_storage(song_cloud, f"image-covers-{is_early}".lower()) as stored:
        await owner_with_image(stored, range(20))
        covered = sum(one.size for one in await stored.hours.blocks(0, HOUR))
        await seal(stored, range(15, 30))
        successor = Successor(stored)
        if is_early:
            await successor.read_early()
        assert await successor.counted(range(40)) == [41]
        assert set(read) == {covered}


async def damaged(stored: HourStorage, data: bytes) -> None:
    await stored.container.upload_blob(IMAGE, data, overwrite=True)


@pytest.mark.parametrize("how", ["short", "bit", "foreign", "empty"])
async def test_an_image_that_can_not_be_used_costs_no_count(
    song_cloud: LocalCloud, read: list[int], caplog: pytest.LogCaptureFixture, how: str
) -> None:
    async with hour_storage(song_cloud, f"image-{how}") as stored:
        await owner_with_image(stored, range(20))
        good = await image(stored)
        flipped = good[:-3] + bytes([good[-3] ^ 1]) + good[-2:]
        await damaged(
            stored, {"short": good[:-1], "bit": flipped, "foreign": b"not an image at all", "empty": b""}[how]
        )
        successor = Successor(stored)
        await successor.read_early()
        assert await successor.counted(range(25)) == [26]
        assert read[0] == 0
        assert "can't be used" in caplog.text


async def test_an_image_under_another_key_is_not_used(
    song_cloud: LocalCloud, read: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    async with hour_storage(song_cloud, "image-key") as stored:
        await owner_with_image(stored, range(20))
        found = await stored.store(IdentityKey(bytes(range(16))))._early.load(  # type: ignore[union-attr]
            0, partition().cells.new_cell(HOUR)
        )
        assert found is not None
        assert found.cell.rows == 0
        assert "can't be used" in caplog.text
        assert "made under the key" in caplog.text


async def test_an_image_of_other_blocks_is_not_used(song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture) -> None:
    async with hour_storage(song_cloud, "image-blocks") as stored:
        await owner_with_image(stored, range(20))
        await stored.container.delete_blob(blob_name(0, HOUR))
        stored.saved.clear()
        await seal(stored, range(30, 40))
        assert await Successor(stored).counted(range(30)) == [40]
        assert "does not begin" in caplog.text


async def test_a_missing_image_is_no_news(song_cloud: LocalCloud, caplog: pytest.LogCaptureFixture) -> None:
    async with hour_storage(song_cloud, "image-missing") as stored:
        await seal(stored, range(20))
        assert await Successor(stored).counted(range(25)) == [25]
        assert "image" not in caplog.text


async def test_blocks_of_another_owner_are_not_covered(song_cloud: LocalCloud, read: list[int]) -> None:
    async with hour_storage(song_cloud, "image-owners") as stored:
        owner = await owner_with_image(stored, range(20))
        covered = sum(one.size for one in await stored.hours.blocks(0, HOUR))
        await seal(stored, range(30, 40))
        await owner.seal(range(20, 30))
        await owner.save()
        assert await Successor(stored).counted(range(45)) == [46]
        assert covered in read
        assert 0 not in read


async def test_what_is_not_saved_is_in_no_image(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "image-unsaved") as stored:
        owner = Owner(stored)
        await owner.load()
        await owner.seal(range(20))
        play(owner.source, range(20, 30))
        owner.source.take_changes(NOW_MS)
        await owner.save()
        assert IMAGE not in await names(stored), "a flush has ended in an error, and what it had comes again"
        assert await Successor(stored).counted(range(30)) == [31]


async def test_an_image_is_made_anew_when_half_as_much_was_sealed_since(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "image-anew") as stored:
        owner = await owner_with_image(stored, range(600))
        first = await image(stored)
        await owner.seal(range(600, 700))
        await owner.save()
        assert await image(stored) == first
        await owner.seal(range(700, 990))
        await owner.save()
        assert len(await image(stored)) > len(first)
        assert await Successor(stored).counted(range(995)) == [996]


async def test_two_owners_write_one_image(song_cloud: LocalCloud, read: list[int]) -> None:
    async with hour_storage(song_cloud, "image-two") as stored:
        await seal(stored, range(20))
        owners = [Owner(stored), Owner(stored)]
        for owner in owners:
            await owner.load()
            owner.source.take_changes(NOW_MS)
            owner.source.cells.is_saved = True
        read.clear()
        await asyncio.gather(*(owner.save() for owner in owners))
        assert await Successor(stored).counted(range(25)) == [26]
        assert not read


async def test_an_image_that_is_replaced_under_way_is_not_used(
    song_cloud: LocalCloud, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(begin: bytes) -> None:
        raise ResourceModifiedError("as the service says of the next piece")

    async with hour_storage(song_cloud, "image-replaced") as stored:
        await owner_with_image(stored, range(20))
        monkeypatch.setattr(hour_images, "decode_image_header", replaced)
        assert await Successor(stored).counted(range(25)) == [26]
        assert 0 in read


async def test_an_image_is_deleted_with_its_hour_or_before(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "image-deleted") as stored:
        owner = await owner_with_image(stored, range(20))
        assert IMAGE in await names(stored)
        await owner.save(NOW_MS + 2 * HOUR_MS)
        assert IMAGE not in await names(stored), "an hour that is over is loaded by its index or its blocks"
        await owner.seal(range(20, 30))
        await owner.save()
        await SealedHours(stored.container).delete_before(0, HOUR)
        assert await names(stored) == {blob_name(0, HOUR), IMAGE}
        await SealedHours(stored.container).delete_before(0, HOUR + 1)
        assert await names(stored) == set()


async def test_an_image_of_an_hour_that_ended_while_nobody_had_it_is_deleted(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "image-left") as stored:
        await owner_with_image(stored, range(20))
        later = Owner(stored)
        await later.save(NOW_MS)
        assert IMAGE in await names(stored)
        later = Owner(stored)
        await later.save(NOW_MS + 2 * HOUR_MS)
        assert await names(stored) == {blob_name(0, HOUR)}
