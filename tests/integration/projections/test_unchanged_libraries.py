"""A library that was read before: of a shelf that has not changed since, nothing is sent again."""

from datetime import UTC, datetime

import pytest

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processes.entities import CONTAINERS
from songline.processors.library.shelf_store import ShelfStore
from songline.projections.library.folded_cache import FoldedCache
from songline.projections.library.library_reader import LibraryReader
from songline.projections.live_version import ServedVersion
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.channels import DATABASE, LIBRARY, LIBRARY_SHELVES
from songline.schemas.library.action import UserAction, event_mark, microseconds
from songline.schemas.library.shelf import shelf_key
from tests.support.counted import CountedContainer
from tests.support.localcloud import LocalCloud

NOON_US = microseconds(datetime(2026, 11, 22, 12, tzinfo=UTC))


def listen(user_id: str, song_id: str, position: int) -> UserAction:
    at_us = NOON_US + position
    return UserAction(user_id, song_id, at_us, event_mark(f"{user_id} {position}"), "listen", 1, position, 40_000)


async def test_a_library_is_read_again_only_where_its_shelf_has_changed(localcloud: LocalCloud) -> None:
    async with cosmos.client(read_cosmos(localcloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        shelves, former = (cosmos.container(client, DATABASE, name) for name in (LIBRARY_SHELVES, LIBRARY))
        counted, shelf = CountedContainer(shelves), ShelfStore(shelves, room_kb=1_000)
        store = DocumentStore(counted)  # type: ignore[arg-type]  # it does what the container does
        served, reader = ServedVersion(1, 1, store), LibraryReader(DocumentStore(former), FoldedCache())

        async def write(*actions: UserAction) -> None:
            await shelf.apply(shelf_key(1, 0), 1, list(actions))

        async def songs() -> list[str]:
            return sorted(song.song_id for song in (await reader.read(served, "ada")).library.songs)

        assert await songs() == []
        await write(listen("ada", "a", 1))
        assert await songs() == ["a"]
        counted.requests.clear()
        before = await reader.read(served, "ada")
        assert await reader.read(served, "ada") is before
        assert counted.requests == ["read_item", "read_item"]
        await write(listen("bea", "b", 2))
        assert await reader.read(served, "ada") is before
        await write(listen("ada", "c", 3))
        assert await songs() == ["a", "c"]
        # A shelf that is deleted and written anew may come to the same number of flushes, never to the same ETag.
        await shelves.delete_all_items_by_partition_key(shelf_key(1, 0))
        assert await songs() == []
        await write(listen("ada", "d", 4))
        assert await songs() == ["d"]


async def test_a_library_whose_version_is_dropped_while_it_is_read_is_not_an_empty_one(localcloud: LocalCloud) -> None:
    async with cosmos.client(read_cosmos(localcloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        shelves, former = (cosmos.container(client, DATABASE, name) for name in (LIBRARY_SHELVES, LIBRARY))
        served = ServedVersion(1, 1, DocumentStore(shelves))
        reader = LibraryReader(DocumentStore(former), FoldedCache())
        await ShelfStore(shelves, room_kb=1_000).apply(shelf_key(1, 0), 1, [listen("ada", "a", 1)])
        assert [song.song_id for song in (await reader.read(served, "ada")).library.songs] == ["a"]
        await cosmos.delete(client, DATABASE, LIBRARY_SHELVES)
        with pytest.raises(StoreUnavailableError, match="is not there"):
            await reader.read(served, "ada")
