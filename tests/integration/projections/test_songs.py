"""Songs and their sound over HTTP, from documents and blobs as the workers leave them."""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobServiceClient

from songline.cloud import cosmos
from songline.processors.catalog.refolding import MARK, refold
from songline.processors.catalog.song_store import SongStore
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.projections.api import create
from songline.schemas.channels import DATABASE, SONG_BLOBS, SONGS
from songline.schemas.progress import Watermark
from songline.schemas.songs import Song
from tests.support.catalog import stated, taken_away
from tests.support.localcloud import LocalCloud

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# More than the SDK fetches at once.
SOUND = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(SOUND).hexdigest()


@pytest.fixture
def songs(database: CosmosClient) -> SongStore:
    return SongStore(cosmos.container(database, DATABASE, SONGS))


@pytest.fixture
async def playable(songs: SongStore, places: BlobServiceClient) -> str:
    """A song with its sound."""
    settings = ContentSettings(content_type="audio/flac")
    await places.get_blob_client(SONG_BLOBS, SHA256).upload_blob(SOUND, overwrite=True, content_settings=settings)
    await put(songs, "playable", sha256=SHA256, size=len(SOUND), content_type="audio/flac")
    return "/v1/songs/playable/audio"


async def put(songs: SongStore, song_id: str, minute: int = 0, position: int = 1, **fields: Any) -> Song:
    known: dict[str, Any] = {"title": song_id, "artist": "Nova Reed", "duration_ms": 1_000} | fields
    song = Song(id=song_id, user_id="user-3", uploaded_at=NOON + timedelta(minutes=minute), **known)
    await songs.apply(song_id, "1", [stated(song, position)])
    return song


async def take_away(songs: SongStore, song_id: str) -> None:
    await songs.apply(song_id, "1", [taken_away("user-3", NOON, 100)])


async def listed(api: httpx.AsyncClient, **params: str | int) -> list[str]:
    answer = await api.get("/v1/songs", params=params)
    assert answer.status_code == 200, answer.text
    return [song["id"] for song in answer.json()["songs"]]


async def test_a_song_is_served_with_how_fresh_it_is(
    songs: SongStore, database: CosmosClient, songs_api: httpx.AsyncClient
) -> None:
    positions = WatermarkStore(cosmos.container(database, DATABASE, SONGS))
    await put(songs, "one", title="Paper Lanterns", genre="indie")
    assert (await songs_api.get("/v1/songs/one")).json()["completeThrough"] is None
    await positions.add(("0", "1"))
    await positions.advance("0", Watermark(position=12, through=NOON))
    assert (await songs_api.get("/v1/songs/one")).json()["completeThrough"] is None
    await positions.advance("1", Watermark(position=7, through=NOON + timedelta(minutes=1)))
    before = datetime.now(UTC)
    answer = (await songs_api.get("/v1/songs/one")).json()
    assert answer["song"] == {
        "id": "one",
        "userId": "user-3",
        "title": "Paper Lanterns",
        "artist": "Nova Reed",
        "durationMs": 1_000,
        "uploadedAt": "2026-11-22T12:00:00Z",
        "genre": "indie",
    }
    assert (answer["completeThrough"], answer["position"]) == ("2026-11-22T12:00:00Z", {"0": 12, "1": 7})
    assert before <= datetime.fromisoformat(answer["asOf"]) <= datetime.now(UTC)
    page = (await songs_api.get("/v1/songs")).json()
    assert (page["completeThrough"], page["position"]) == (answer["completeThrough"], answer["position"])


async def test_songs_are_found_by_artist_genre_and_beginnings_of_words(
    songs: SongStore, songs_api: httpx.AsyncClient
) -> None:
    await put(songs, "ros-1", 1, title="Ágætis byrjun", artist="Sigur Rós", genre="post-rock")
    await put(songs, "ros-2", 2, title="Hoppípolla", artist="SIGUR  ROS", genre="indie", album="Takk")
    await put(songs, "ros-3", 3, title="Sigur", artist="Someone Else", genre="post-rock")
    assert await listed(songs_api, artist="sigur rós") == ["ros-2", "ros-1"]
    assert await listed(songs_api, genre="post-rock") == ["ros-3", "ros-1"]
    assert await listed(songs_api, genre="post-rock", artist="Sigur Rós") == ["ros-1"]
    assert await listed(songs_api, q="sig") == ["ros-3", "ros-2", "ros-1"]
    assert await listed(songs_api, q="TAKK hopp") == ["ros-2"]
    assert await listed(songs_api, q="igur") == []
    assert await listed(songs_api, artist="Sigur") == []


async def test_songs_of_several_artists_and_genres_are_found_by_each(
    songs: SongStore, songs_api: httpx.AsyncClient
) -> None:
    both: dict[str, Any] = {"artist": "Björk, R.E.M.", "artists": ("Björk", "R.E.M.")}
    await put(songs, "both", 1, **both, genre="джаз", genres=("джаз", "synth-pop"))
    await put(songs, "rem", 2, artist="REM", genre="synth-pop")
    await put(songs, "signs", 3, title="÷", artist="-M-", genre="演歌")
    await put(songs, "moon", 4, title="Moon", artist="Mira")
    for asked in ("bjork", "BJÖRK", "Björk, R.E.M."):
        assert await listed(songs_api, artist=asked) == ["both"]
    assert await listed(songs_api, artist="r.e.m.") == await listed(songs_api, artist="REM") == ["rem", "both"]
    assert await listed(songs_api, q="R.E.M.") == await listed(songs_api, q="rem") == ["rem", "both"]
    assert await listed(songs_api, genre="Synth-Pop") == ["rem", "both"]
    assert await listed(songs_api, genre="ДЖАЗ") == ["both"]
    assert await listed(songs_api, genre="演歌") == ["signs"]
    assert await listed(songs_api, q="-M-") == await listed(songs_api, q="÷") == ["signs"]
    assert await listed(songs_api, q="!!!") == await listed(songs_api, genre="рок") == []
    song = (await songs_api.get("/v1/songs/both")).json()["song"]
    assert (song["artist"], song["artists"]) == ("Björk, R.E.M.", ["Björk", "R.E.M."])
    assert (song["genre"], song["genres"]) == ("джаз", ["джаз", "synth-pop"])


async def test_songs_of_an_earlier_release_are_folded_again(
    songs: SongStore, songs_api: httpx.AsyncClient, database: CosmosClient
) -> None:
    await put(songs, "former", artist="A.F.I.")
    container = cosmos.container(database, DATABASE, SONGS)
    document = dict(await container.read_item("former", "former"))
    del document["folding"]
    await container.replace_item("former", document | {"words": ["former", "a", "f", "i"]})
    with suppress(CosmosResourceNotFoundError):
        await container.delete_item(MARK, MARK)
    assert await listed(songs_api, q="afi") == []
    assert await listed(songs_api, artist="a.f.i.") == ["former"]
    assert await refold(container, songs) >= 1
    assert await listed(songs_api, q="afi") == ["former"]
    assert await listed(songs_api, artist="AFI") == ["former"]
    assert await refold(container, songs) == 0


async def test_a_song_that_was_taken_away_is_hidden_everywhere(songs: SongStore, songs_api: httpx.AsyncClient) -> None:
    for name in ("stays", "goes"):
        await put(songs, name, artist="Leavers")
    await take_away(songs, "goes")
    assert await listed(songs_api, artist="leavers") == ["stays"]
    for path in ("/v1/songs/goes", "/v1/songs/goes/audio"):
        gone = await songs_api.get(path)
        assert (gone.status_code, gone.json()["title"]) == (410, "Song taken away")
    assert (await songs_api.get("/v1/songs/never")).status_code == 404
    assert (await songs_api.get("/v1/songs/never/audio")).status_code == 404


async def test_pages_hold_every_song_once_while_others_come_and_go(
    songs: SongStore, songs_api: httpx.AsyncClient
) -> None:
    # Several of one moment, on either side of a page's border.
    for number in range(10):
        await put(songs, f"page-{number}", minute=number // 4, artist="Pagers")
    found: list[str] = []
    cursor: str | None = None
    for turn in range(4):
        params = {"artist": "pagers", "limit": "3"} | ({} if cursor is None else {"cursor": cursor})
        page = (await songs_api.get("/v1/songs", params=params)).json()
        found += [song["id"] for song in page["songs"]]
        cursor = page["next"]
        await put(songs, f"new-{turn}", minute=60 + turn, artist="Pagers")
        if turn == 0:
            await take_away(songs, found[-1])
    assert found == [f"page-{number}" for number in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)]
    assert cursor is None


@pytest.mark.parametrize(
    ("number", "announced", "served", "ending"),
    [
        (1, "audio/mpeg", "audio/mpeg", "mp3"),
        (2, "audio/ogg", "audio/ogg", "ogg"),
        # What anybody may have announced, and no worker has found.
        (3, "text/html", "application/octet-stream", "bin"),
        (4, "image/svg+xml", "application/octet-stream", "bin"),
        (5, "audio/x-shockwave-flash", "application/octet-stream", "bin"),
        (6, None, "application/octet-stream", "bin"),
    ],
)
async def test_a_file_is_served_as_audio_and_as_nothing_else(
    songs: SongStore,
    playable: str,
    songs_api: httpx.AsyncClient,
    number: int,
    announced: str | None,
    served: str,
    ending: str,
) -> None:
    await put(songs, f"odd:{number}", sha256=SHA256, size=len(SOUND), content_type=announced)
    path = f"/v1/songs/odd:{number}/audio"
    for answer in (
        await songs_api.get(path),
        await songs_api.get(path, headers={"Range": "bytes=1-2"}),
        await songs_api.head(path),
    ):
        assert answer.headers["content-type"] == served
        assert answer.headers["content-disposition"] == f'attachment; filename="odd-{number}.{ending}"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].endswith("; sandbox")
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_whole_song_is_its_bytes(playable: str, songs_api: httpx.AsyncClient) -> None:
    answer = await songs_api.get(playable)
    assert answer.status_code == 200
    assert answer.content == SOUND
    assert {name: answer.headers[name] for name in ("content-type", "etag", "accept-ranges", "content-length")} == {
        "content-type": "audio/flac",
        "etag": f'"{SHA256}"',
        "accept-ranges": "bytes",
        "content-length": str(len(SOUND)),
    }
    head = await songs_api.head(playable, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == dict(answer.headers)
    known = await songs_api.get(playable, headers={"If-None-Match": answer.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=1000-4999999", 1000, 4_999_999),
        ("bytes=5119999-", 5_119_999, 5_119_999),
        ("bytes=-1000", 5_119_000, 5_119_999),
    ],
)
async def test_a_part_is_these_bytes(
    playable: str, songs_api: httpx.AsyncClient, asked: str, first: int, last: int
) -> None:
    answer = await songs_api.get(playable, headers={"Range": asked, "If-Range": f'"{SHA256}"'})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(SOUND)}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.content == SOUND[first : last + 1]


async def test_a_part_of_another_file_or_behind_the_end_is_not_sent(
    playable: str, songs_api: httpx.AsyncClient
) -> None:
    other = await songs_api.get(playable, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (other.status_code, len(other.content)) == (200, len(SOUND))
    behind = await songs_api.get(playable, headers={"Range": f"bytes={len(SOUND)}-"})
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(SOUND)}")


async def test_sound_that_is_not_there_says_why(
    songs: SongStore, songs_api: httpx.AsyncClient, song_cloud: LocalCloud
) -> None:
    await put(songs, "announced")
    await put(songs, "lost", sha256="ef" * 32, size=5, content_type="audio/flac")
    announced, lost = [await songs_api.get(f"/v1/songs/{name}/audio") for name in ("announced", "lost")]
    assert (announced.status_code, announced.json()["title"]) == (404, "No audio")
    assert (lost.status_code, lost.json()["title"]) == (404, "Audio lost")
    app = create(song_cloud.settings().cosmos)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as silent,
    ):
        without = await silent.get("/v1/songs/lost/audio")
        assert (without.status_code, without.json()["title"]) == (503, "No audio here")
