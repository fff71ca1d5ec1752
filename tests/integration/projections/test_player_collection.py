"""The collection that players browse, read from the catalog as its worker leaves it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.cosmos.aio import CosmosClient

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.players.opensubsonic import collection_reader
from songline.players.opensubsonic.collection_reader import FRESH_S, WHOLE_S, CollectionReader
from songline.processors.catalog.song_store import SongStore
from songline.projections.api import create
from songline.projections.store import DocumentStore
from songline.schemas.channels import DATABASE, SONGS
from songline.schemas.search import terms
from songline.schemas.songs import Song
from tests.support.catalog import stated, taken_away
from tests.support.localcloud import LocalCloud

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
async def songs(database: CosmosClient) -> SongStore:
    """The catalog, without the songs of the test before."""
    container = cosmos.container(database, DATABASE, SONGS)
    for item in [item["id"] async for item in container.query_items("SELECT c.id FROM c")]:
        await container.delete_item(item, item)
    return SongStore(container)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def reader(song_cloud: LocalCloud, database: CosmosClient, clock: Clock) -> AsyncIterator[CollectionReader]:
    app = create(read_cosmos(song_cloud.environment))
    async with app.router.lifespan_context(app):
        found = CollectionReader(app.state.songs, clock)
        yield found
        await found.close()


async def put(songs: SongStore, number: int, *, sound: bool = True, position: int = 1, title: str = "") -> None:
    song = Song(
        id=f"song-{number}",
        user_id="ada",
        title=title or f"Title {number}",
        artist="Nova Reed",
        duration_ms=1_000,
        uploaded_at=NOON + timedelta(minutes=number),
        sha256="ab" * 32 if sound else None,
        size=5 if sound else None,
    )
    await songs.apply(song.id, "0", [stated(song, position)])


async def test_what_comes_changes_and_goes_is_followed(
    songs: SongStore, reader: CollectionReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several pages, and the last one full.
    monkeypatch.setattr(collection_reader, "_PAGE", 2)
    for number in (3, 1, 4, 2):
        await put(songs, number)
    await put(songs, 5, sound=False)
    assert list((await reader.read()).songs) == ["song-1", "song-2", "song-3", "song-4"]

    await put(songs, 6)
    await put(songs, 2, position=2, title="Dusk")
    await put(songs, 5, position=2)
    await songs.apply("song-1", "0", [taken_away("ada", NOON + timedelta(hours=1), 100)])
    assert "song-1" in (await reader.read()).songs
    clock.s += FRESH_S
    found = await reader.read()
    assert list(found.songs) == ["song-2", "song-3", "song-4", "song-5", "song-6"]
    assert [song.id for song in found.found_songs(terms("dusk"))] == ["song-2"]
    assert found.found_songs(terms("Title 2")) == []
    assert await reader.read() is found


async def test_what_changes_while_all_is_read_is_there_a_moment_later(
    songs: SongStore,
    reader: CollectionReader,
    clock: Clock,
    database: CosmosClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages take their time. What was written behind the first one may be older than what the last one has."""
    monkeypatch.setattr(collection_reader, "_PAGE", 1)
    monkeypatch.setattr(collection_reader, "_OVERLAP_S", 0)
    container = cosmos.container(database, DATABASE, SONGS)

    async def written_s(number: int) -> int:
        seconds: int = (await container.read_item(f"song-{number}", f"song-{number}"))["_ts"]
        return seconds

    for number in (1, 2, 3):
        await put(songs, number)
    read_page, pages = DocumentStore.find, 0

    async def find(store: DocumentStore, *question: Any) -> list[Any]:
        nonlocal pages
        found = await read_page(store, *question)
        pages += 1
        if pages == 1:
            await put(songs, 3, position=2, title="Dusk")
            position = 2
            async with asyncio.timeout(60):
                while await written_s(1) <= await written_s(3):
                    await put(songs, 1, position=position, title=f"Dawn {position}")
                    position += 1
            clock.s += await written_s(1) - await written_s(3)
        return found

    monkeypatch.setattr(DocumentStore, "find", find)
    titles = [song.title for song in (await reader.read()).songs.values()]
    assert titles[1:] == ["Title 2", "Title 3"]
    assert titles[0].startswith("Dawn")
    clock.s += FRESH_S
    assert [song.title for song in (await reader.read()).songs.values()] == [titles[0], "Title 2", "Dusk"]


async def test_what_was_deleted_goes_when_all_is_read_again(
    songs: SongStore, reader: CollectionReader, clock: Clock, database: CosmosClient
) -> None:
    await put(songs, 1)
    await put(songs, 2)
    assert len((await reader.read()).songs) == 2
    await cosmos.container(database, DATABASE, SONGS).delete_item("song-1", "song-1")
    clock.s += WHOLE_S
    assert list((await reader.read()).songs) == ["song-2"]


async def test_when_much_was_written_all_is_read_again(
    songs: SongStore, reader: CollectionReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_reader, "MANY", 2)
    await put(songs, 1)
    assert list((await reader.read()).songs) == ["song-1"]
    for number in (2, 3, 4):
        await put(songs, number)
    clock.s += FRESH_S
    assert list((await reader.read()).songs) == ["song-1", "song-2", "song-3", "song-4"]


async def test_so_many_are_listed(
    songs: SongStore, reader: CollectionReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_reader, "MAX_SONGS", 2)
    await put(songs, 1)
    await put(songs, 2)
    await reader.read()
    await put(songs, 3)
    clock.s += FRESH_S
    assert list((await reader.read()).songs) == ["song-2", "song-3"]
