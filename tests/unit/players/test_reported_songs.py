"""Which song a reported listen is: the same when it is repeated; while the catalog is away it is to be sent again."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.players.listenbrainz.errors import ListenBrainzError
from songline.players.listenbrainz.reported_songs import ReportedSongs
from songline.players.listenbrainz.submission import SubmittedListen, read_submission
from songline.processors.imports.song_resolution import SongResolution
from songline.schemas.resolver import SongMatch, SongWords
from songline.schemas.song_names import SongName

MBID = "e225fb84-dc9a-419e-adcd-9890f59ec432"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Catalog(SongResolution):
    """A catalog of one song, which may be away."""

    def __init__(self, song_id: str) -> None:
        self.song_id = song_id
        self.failing: Exception | None = None
        self.names: list[SongName] = []

    async def resolve(self, songs: Iterable[SongWords]) -> dict[SongWords, SongMatch]:
        if isinstance(self.failing, AzureError):
            raise self.failing
        return {song: SongMatch(self.song_id, "words") for song in songs}

    async def keep_names(self, names: Iterable[SongName]) -> None:
        self.names += names
        if self.failing is not None:
            raise self.failing


class Documents(ContainerProxy):
    """A container in memory."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    async def execute_item_batch(self, batch_operations: Any, partition_key: Any, **_: Any) -> Any:
        assert len(batch_operations) <= 100, "as many as one batch may have"
        for kind, (item,) in batch_operations:
            assert kind == "upsert"
            self.items[partition_key, item["id"]] = item

    async def read_item(self, item: Any, partition_key: Any, **_: Any) -> Any:
        if (partition_key, item) not in self.items:
            raise CosmosResourceNotFoundError(404, "none")  # type: ignore[no-untyped-call]
        return self.items[partition_key, item]


def listens(*mbids: str | None) -> tuple[SubmittedListen, ...]:
    rows = ",".join(
        f'{{"listened_at":{1_600_000_000 + number},"track_metadata":{{"artist_name":"Ada","track_name":"Ode"'
        + (f',"additional_info":{{"recording_mbid":"{mbid}"}}' if mbid else "")
        + "}}"
        for number, mbid in enumerate(mbids)
    )
    return read_submission(f'{{"listen_type":"import","payload":[{rows}]}}'.encode(), NOW).listens


async def test_a_repeated_listen_is_of_the_same_song_though_the_catalog_has_another_one_by_then() -> None:
    catalog = Catalog("name:0123")
    songs = ReportedSongs(catalog, Documents())
    assert await songs.of("user-7", listens(None)) == ["name:0123"]
    assert [name.title for name in catalog.names] == ["Ode"]
    catalog.song_id = "song-1"
    assert await songs.of("user-7", listens(None)) == ["name:0123"]
    assert await songs.of("user-8", listens(None)) == ["song-1"]
    assert len(catalog.names) == 2, "a song of the catalog needs no words"


async def test_while_the_catalog_is_away_a_listen_is_to_be_sent_again() -> None:
    catalog = Catalog("name:0123")
    catalog.failing = ServiceRequestError("away")
    songs = ReportedSongs(catalog, Documents())
    with pytest.raises(ListenBrainzError, match="away") as refused:
        await songs.of("user-7", listens(None))
    assert (refused.value.status, refused.value.retry_s) == (503, 2)
    catalog.failing = None
    assert await songs.of("user-7", listens(None)) == ["name:0123"]


async def test_a_fault_of_our_own_is_not_hidden() -> None:
    catalog = Catalog("name:0123")
    catalog.failing = KeyError("ours")
    with pytest.raises(KeyError, match="ours"):
        await ReportedSongs(catalog, Documents()).of("user-7", listens(None))


async def test_recordings_are_a_listeners_own_and_outlive_the_process() -> None:
    documents = Documents()
    many = [f"{number:08x}{MBID[8:]}" for number in range(250)]
    await ReportedSongs(Catalog("song-1"), documents).of("user-7", listens(MBID, None, *many))
    later = ReportedSongs(Catalog("song-1"), documents)
    assert await later.of_recording("user-7", MBID) == "song-1"
    assert await later.of_recording("user-7", many[-1]) == "song-1"
    assert await later.of_recording("user-8", MBID) is None
    await later.of("user-7", listens(MBID))
    assert await later.of_recording("user-7", MBID) == "song-1"
