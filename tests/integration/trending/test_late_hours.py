"""Hours that were over long ago, in Blob Storage: late events load of them what their index says, or all of them, and
count the same."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import late_hours
from songline.processors.trending.cells.hour_index import PAGE_ITEMS
from songline.processors.trending.cells.hour_store import HourStore
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.state_version import StateVersion
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.moments import milliseconds
from tests.support.hour_storage import HourStorage, hour_storage
from tests.support.localcloud import LocalCloud
from tests.support.trending import KEY

NOW = datetime(2026, 11, 22, 14, 3, 30, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
PAST = NOW - timedelta(hours=20)
HOUR = milliseconds(PAST) // 3_600_000
USERS = range(2 * PAGE_ITEMS + 500)
SONGS = 3
_owners = count()


async def seal(stored: HourStorage, users: range, hour: int = HOUR) -> None:
    """Seal plays of these listeners in one block more of the hour."""
    source = listened(users)
    source.cells.add(source.cells.new_cell(HOUR))
    await stored.add_block(hour, filter(None, source.take_changes(NOW_MS).chunks.values()))


async def make_index(stored: HourStorage) -> None:
    await stored.store().index(0, NOW_MS)
    assert HOUR in await stored.hours.indexed(0)


@pytest.fixture(autouse=True)
def _small_hours_have_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_hours, "INDEXED_BYTES", 1)


def listened(users: range) -> SourcePartition:
    """A partition in which each of the listeners has played a song, and which was not flushed."""
    shared = (SongIndex(1), RegionIndex(), UserHashes())
    source = SourcePartition(0, f"owner-{next(_owners)}", 1, *shared, KEY, -1)
    play(source, users)
    return source


def play(source: SourcePartition, users: range) -> None:
    bodies = [encode(Event(id="e", source="/tests", time=PAST, data=played(user))) for user in users]
    source.apply(Batch(0, len(bodies), range(len(bodies)), [NOW_MS] * len(bodies), bodies))


def played(user: int) -> SongPlayed:
    return SongPlayed(
        user_id=f"user-{user}", song_id=f"song-{user % SONGS}", played_ms=60_000, duration_ms=90_000, region="DE"
    )


async def load(store: HourStore, source: SourcePartition) -> None:
    while source.cells.missing():
        await store.load_missing({0: source.cells}, NOW_MS)
        await asyncio.gather(*(one.task for one in store._loads.values()))
        assert store.last_error({0}) is None


def listens(source: SourcePartition, saved: dict[bytes, bytes] | None = None) -> list[int]:
    """The listens of each song that has changed, after a flush, which is `saved` where that is given."""
    changes = source.take_changes(NOW_MS)
    if saved is not None:
        saved |= {key.encode(): value for key, value in changes.chunks.items() if value is not None}
    assert not changes.minutes.pair.size, "no window shows them"
    return sorted(changes.hours.counts[:, 0].tolist())


async def late(store: HourStore, users: range) -> tuple[list[int], bool]:
    """What late plays of these listeners count, and whether an index has helped."""
    source = listened(users)
    await load(store, source)
    return listens(source), source.cells.indexed_cell(HOUR) is not None


def expected(before: Iterable[int], users: range) -> list[int]:
    """The listens of each song that one of these listeners is the first time in the hour to play."""
    known = set(before)
    new = {user % SONGS for user in users if user not in known}
    found = Counter(user % SONGS for user in known.union(users))
    return sorted(found[song] for song in new)


async def test_late_events_load_a_part_of_their_hour(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-part") as stored:
        await seal(stored, USERS)
        some = range(len(USERS) - 4, len(USERS) + 5, 3)
        assert await late(stored.store(), some) == (expected(USERS, some), False)
        await make_index(stored)
        store, source = stored.store(), listened(some)
        await load(store, source)
        assert source.cells.indexed_cell(HOUR) is not None
        assert listens(source) == expected(USERS, some)
        assert source.cells.loaded()[HOUR].rows == len(some)
        more = range(len(USERS) + 20, len(USERS) + 23)
        play(source, more)
        await load(store, source)
        assert listens(source) == expected([*USERS, *some], more)


async def test_many_late_events_load_the_whole_hour(song_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_hours, "ASKED_BYTES", 0)
    async with hour_storage(song_cloud, "late-many") as stored:
        await seal(stored, USERS)
        await make_index(stored)
        many = range(len(USERS) + 100)
        assert await late(stored.store(), many) == (expected(USERS, many), False)


async def test_what_was_sealed_since_counts_once(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-since") as stored:
        await seal(stored, range(1_000))
        await make_index(stored)
        # Some of it is in the index as well.
        await seal(stored, range(900, 1_100))
        some = range(1_050, 1_200)
        assert await late(stored.store(), some) == (expected(range(1_100), some), True)


async def overwrite(stored: HourStorage, data: bytes) -> None:
    await stored.container.upload_blob(f"0/{HOUR}.index", data, overwrite=True)


async def index_bytes(stored: HourStorage) -> bytes:
    return await (await stored.container.download_blob(f"0/{HOUR}.index")).readall()


async def lose(stored: HourStorage) -> None:
    await stored.container.delete_blob(f"0/{HOUR}.index")


async def empty(stored: HourStorage) -> None:
    await overwrite(stored, b"")


async def replace(stored: HourStorage) -> None:
    await overwrite(stored, b"not ours")


async def cut_header(stored: HourStorage) -> None:
    await overwrite(stored, (await index_bytes(stored))[:40])


async def cut_pages(stored: HourStorage) -> None:
    await overwrite(stored, (await index_bytes(stored))[:600])


async def damage_rows(stored: HourStorage) -> None:
    data = bytearray(await index_bytes(stored))
    data[len(data) // 2] ^= 1
    await overwrite(stored, bytes(data))


async def damage_counts(stored: HourStorage) -> None:
    data = bytearray(await index_bytes(stored))
    data[-1] ^= 1
    await overwrite(stored, bytes(data))


async def swap(stored: HourStorage) -> None:
    """The index of another hour in its place."""
    await seal(stored, range(10), HOUR - 1)
    store = stored.store()
    await store.index(0, NOW_MS)
    stream = await stored.container.download_blob(f"0/{HOUR - 1}.index")
    await overwrite(stored, await stream.readall())


DAMAGES = [lose, empty, replace, cut_header, cut_pages, damage_rows, damage_counts, swap]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_an_index_that_can_not_be_used_costs_no_count_and_is_made_anew(
    damage: Callable[[HourStorage], Awaitable[None]], song_cloud: LocalCloud
) -> None:
    async with hour_storage(song_cloud, f"late-{damage.__name__}".replace("_", "-")) as stored:
        await seal(stored, USERS)
        await make_index(stored)
        await damage(stored)
        some, store = range(0, len(USERS) + 30, 2), stored.store()
        assert await late(store, some) == (expected(USERS, some), False)
        while not (await late(store, some))[1]:
            await store.index(0, NOW_MS)
        assert await late(store, some) == (expected(USERS, some), True)
        assert await late(stored.store(), some) == (expected(USERS, some), True)


async def test_an_index_that_is_replaced_under_way_is_opened_again(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-replaced") as stored:
        await seal(stored, USERS)
        await make_index(stored)
        some = range(9_000, 9_003)
        store, source = stored.store(), listened(some)
        await load(store, source)
        assert listens(source, stored.saved) == expected(USERS, some)
        before = source.cells.indexed_cell(HOUR)
        await lose(stored)
        await seal(stored, range(len(USERS), len(USERS) + 30))
        await make_index(stored)
        play(source, range(len(USERS), len(USERS) + 60))
        await load(store, source)
        assert source.cells.indexed_cell(HOUR) not in (None, before)
        known = [*range(len(USERS) + 30), *some]
        assert listens(source) == expected(known, range(len(USERS), len(USERS) + 60))


async def test_an_index_that_lacks_much_of_its_hour_is_made_anew(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-outdated") as stored:
        await seal(stored, range(100))
        await make_index(stored)
        await seal(stored, range(100, 1_000))
        before = await index_bytes(stored)
        store = stored.store()
        others = range(2_000, 2_003)
        await store.index(0, NOW_MS)
        assert await index_bytes(stored) == before, "nobody knows what it covers"
        assert await late(store, others) == (expected(range(1_000), others), True)
        await store.index(0, NOW_MS)
        assert len(await index_bytes(stored)) > 2 * len(before)


async def test_two_owners_make_one_index(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-owners") as stored:
        await seal(stored, USERS)
        stores = [stored.store() for _ in range(3)]
        await asyncio.gather(*(one.index(0, NOW_MS) for one in stores))
        some = range(50)
        for one in stores:
            assert await late(one, some) == (expected(USERS, some), True)


async def test_an_index_under_another_key_is_not_used(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-key") as stored:
        await seal(stored, range(100))
        await stored.store(IdentityKey(b"another for test")).index(0, NOW_MS)
        assert HOUR in await stored.hours.indexed(0)
        others = range(2_000, 2_003)
        assert await late(stored.store(), others) == (expected(range(100), others), False)


async def test_an_index_is_deleted_with_its_hour(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-deleted") as stored:
        for hour in (HOUR - 1, HOUR):
            await seal(stored, range(10), hour)
        store = stored.store()
        for _ in range(2):
            await store.index(0, NOW_MS)
        assert await stored.hours.indexed(0) == {HOUR - 1, HOUR}
        await store.delete_before(0, HOUR)
        assert [one.name async for one in stored.container.list_blobs()] == [f"0/{HOUR}", f"0/{HOUR}.index"]


async def test_each_version_has_indexes_of_its_own(song_cloud: LocalCloud) -> None:
    async with hour_storage(song_cloud, "late-versions") as stored:
        versions = [StateVersion(number) for number in (1, 2)]
        for version in versions:
            one = HourStorage(stored.container, SealedHours(stored.container, version.prefix), {})
            await seal(one, range(100 * version.number))
            await make_index(one)
            some = range(500, 510)
            assert await late(one.store(), some) == (expected(range(100 * version.number), some), True)
        names = [found.name async for found in stored.container.list_blobs()]
        owned = [[name for name in names if version.owns_key(name.encode())] for version in versions]
        assert owned == [[f"{prefix}0/{HOUR}{end}" for end in ("", ".index")] for prefix in ("", "v2/")]
