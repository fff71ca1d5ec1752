"""OpenSubsonic over HTTP, without any service: credentials, forms of requests and answers, errors."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import md5
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from azure.core.exceptions import ServiceRequestError
from fastapi import FastAPI

from songline.api.session.sealing import KEY_BYTES, Sealer
from songline.identity.scopes import Scope
from songline.players.opensubsonic.answer import NAMESPACE
from songline.players.opensubsonic.call import OpenSubsonicState
from songline.players.opensubsonic.collection import Collection, Listed, album_id_of, edged
from songline.players.opensubsonic.collection_reader import CollectionReader
from songline.players.opensubsonic.endpoints import OPERATIONS
from songline.players.opensubsonic.server import MAX_FORM, OpenSubsonicServer
from songline.players.tokens.player_token import NewToken, PlayerToken, new_token, sealed_for_salt
from songline.players.tokens.token_lookup import PlayerTokenLookup
from songline.players.tokens.token_store import PlayerTokenStore
from songline.producers.http.body_memory import BodyMemory
from songline.producers.http.body_pacing import BodyPaceConfig
from songline.schemas.search import words
from songline.schemas.songs import Song

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SEALER = Sealer((bytes(KEY_BYTES),))
SONG = Song(
    id="song-1",
    user_id="ada",
    title="Paper <Lanterns>",
    artist="Nova Reed",
    album="Dusk",
    genre="ambient",
    duration_ms=10_000,
    uploaded_at=NOON,
    sha256="ab" * 32,
    size=160_000,
    content_type="audio/flac",
)


def made(number: int, *scopes: Scope) -> NewToken:
    return new_token("ada", "phone", scopes, NOON, lambda size: bytes([number] * size))


READING = made(1, Scope.CHARTS_READ)
WRITING = made(2, Scope.EVENTS_WRITE)
SALTED = made(3, Scope.CHARTS_READ)


class StoredTokens(PlayerTokenStore):
    """Tokens in memory, which may be away."""

    is_away = False

    def __init__(self, *tokens: PlayerToken) -> None:
        self._tokens = {token.id: token for token in tokens}

    async def find(self, token_id: str) -> PlayerToken | None:
        if self.is_away:
            raise ServiceRequestError("away")
        return self._tokens.get(token_id)

    async def of(self, user_id: str) -> list[PlayerToken]:
        return [token for token in self._tokens.values() if token.user_id == user_id]

    async def record_use(self, token_id: str, moment: datetime) -> None:
        return None


class FixedCollection(CollectionReader):
    """Always the same songs."""

    def __init__(self, *songs: Song) -> None:
        self._collection = Collection(Listed(song, edged(words(song.title, song.artist, song.album))) for song in songs)

    async def read(self) -> Collection:
        return self._collection


def served(store: PlayerTokenStore | None = None, sealer: Sealer | None = SEALER) -> httpx.AsyncClient:
    tokens = StoredTokens(READING.token, WRITING.token, sealed_for_salt(SALTED, SEALER))
    app = FastAPI()
    app.state.tokens_of_players = PlayerTokenLookup(store or tokens, sealer, now=lambda: NOON)
    app.state.opensubsonic = OpenSubsonicState(FixedCollection(SONG))
    app.mount("/rest", OpenSubsonicServer(BodyMemory(), BodyPaceConfig(), "0.1.0", lambda: NOON))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000")


def answer(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    found: dict[str, Any] = json.loads(response.content)["subsonic-response"]
    return found


async def ask(name: str, parameters: Mapping[str, str] | None = None, token: NewToken = READING) -> dict[str, Any]:
    async with served() as http:
        return answer(await http.get(f"/rest/{name}", params={"f": "json", "apiKey": token.text, **(parameters or {})}))


async def code_of(parameters: Mapping[str, str], sealer: Sealer | None = SEALER, name: str = "ping") -> int:
    async with served(sealer=sealer) as http:
        response = await http.get(f"/rest/{name}", params={"f": "json", **parameters})
    assert response.status_code == 200
    found = answer(response)
    assert found["status"] == "failed"
    assert found["error"]["message"]
    return int(found["error"]["code"])


def salted(token: NewToken, salt: str = "c19b2d") -> dict[str, str]:
    return {"u": "ada", "t": md5(f"{token.text}{salt}".encode()).hexdigest(), "s": salt}


@pytest.mark.parametrize("path", ["/rest/ping", "/rest/ping.view", "/rest/ping/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_operation_has_two_names_and_two_methods(path: str, method: str) -> None:
    async with served() as http:
        shown = {"apiKey": READING.text, "v": "1.16.1", "c": "test", "unknown": "is passed over"}
        response = await (http.get(path, params=shown) if method == "GET" else http.post(path, data=shown))
    assert response.headers["content-type"] == "text/xml; charset=utf-8"
    root = ElementTree.fromstring(response.content)
    assert (root.tag, root.get("status")) == (f"{{{NAMESPACE}}}subsonic-response", "ok")


async def test_what_is_offered_is_told_to_everybody() -> None:
    async with served() as http:
        found = answer(await http.get("/rest/getOpenSubsonicExtensions.view", params={"f": "json"}))
    assert {one["name"]: one["versions"] for one in found["openSubsonicExtensions"]} == {
        "apiKeyAuthentication": [1],
        "formPost": [1],
    }


async def test_credentials() -> None:
    assert (await ask("tokenInfo"))["tokenInfo"] == {"username": "ada"}
    async with served() as http:
        for shown in (salted(SALTED), {**salted(SALTED), "t": salted(SALTED)["t"].upper()}):
            found = answer(await http.get("/rest/tokenInfo", params={"f": "json", **shown}))
            assert found["tokenInfo"] == {"username": "ada"}


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, 10),
        ({"apiKey": made(9).text}, 44),
        ({"apiKey": ""}, 44),
        ({"apiKey": "x" * 10_000}, 44),
        ({"apiKey": READING.text, "u": "ada"}, 43),
        ({"u": "ada", "p": READING.text}, 42),
        ({"u": "ada", "p": "enc:00"}, 42),
        (salted(made(9)), 40),
        # Its text is not kept, so that no digest of it can be known.
        (salted(READING), 40),
        ({**salted(SALTED), "u": "eve"}, 40),
        ({**salted(SALTED), "s": "other"}, 40),
        ({**salted(SALTED), "t": "ä"}, 40),
    ],
)
async def test_bad_credentials_have_their_codes(parameters: Mapping[str, str], code: int) -> None:
    assert await code_of(parameters) == code


async def test_without_a_key_that_seals_no_digest_is_good() -> None:
    assert await code_of(salted(SALTED), sealer=None) == 41


@pytest.mark.parametrize(("name", "scope"), [(name, one.scope) for name, one in OPERATIONS.items() if one.scope])
async def test_a_token_without_the_scope_is_not_authorized(name: str, scope: Scope) -> None:
    token = WRITING if scope is not Scope.EVENTS_WRITE else READING
    assert await code_of({"apiKey": token.text, "id": "song-1"}, name=name) == 50


async def test_somebody_elses_user_is_not_shown() -> None:
    assert await code_of({"apiKey": READING.text, "username": "eve"}, name="getUser") == 50
    user = (await ask("getUser"))["user"]
    assert (user["username"], user["streamRole"], user["scrobblingEnabled"]) == ("ada", True, False)


async def test_what_is_missing_and_what_is_not_there() -> None:
    key = {"apiKey": READING.text}
    for name in ("getAlbum", "getArtist", "getSong", "getMusicDirectory"):
        assert await code_of(key, name=name) == 10
    for name in ("getAlbum", "getArtist", "getMusicDirectory"):
        assert await code_of({**key, "id": "al-none"}, name=name) == 70
    assert await code_of({**key, "f": "json", "songCount": "many"}, name="search3") == 0


@pytest.mark.parametrize("song_id", ["a/b", "..", "x" * 129, "song 1", "ä", "a\0", "?x=1#y"])
async def test_what_no_song_has_for_an_id_is_not_asked_for(song_id: str) -> None:
    key = {"apiKey": READING.text, "id": song_id}
    assert await code_of(key, name="getSong") == 70
    async with served() as http:
        response = await http.get("/rest/stream", params={"f": "json", **key})
    assert response.status_code == 404
    assert answer(response)["error"]["code"] == 70


async def test_a_file_that_is_not_there_has_a_status_too() -> None:
    async with served() as http:
        for form, media_type in ({}, "text/xml; charset=utf-8"), ({"f": "json"}, "application/json"):
            response = await http.get("/rest/getCoverArt", params={"apiKey": READING.text, "id": "song-1", **form})
            assert (response.status_code, response.headers["content-type"]) == (404, media_type)
            assert b"70" in response.content


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/rest/createPlaylist", 404), ("PUT", "/rest/ping", 405)]
)
async def test_what_is_not_served_says_so_in_the_same_form(method: str, path: str, status: int) -> None:
    async with served() as http:
        response = await http.request(method, path, params={"f": "json", "apiKey": READING.text})
    assert response.status_code == status
    assert answer(response)["status"] == "failed"


async def test_a_form_that_is_too_large_is_refused() -> None:
    async with served() as http:
        response = await http.post("/rest/scrobble?f=json", data={"id": "x" * MAX_FORM})
    assert response.status_code == 413
    assert answer(response)["error"]["code"] == 0


async def test_while_tokens_can_not_be_read_nobody_is_told_that_theirs_is_bad() -> None:
    store = StoredTokens(READING.token)
    store.is_away = True
    async with served(store) as http:
        response = await http.get("/rest/ping", params={"f": "json", "apiKey": READING.text})
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert answer(response)["error"]["code"] == 0


async def test_browsing() -> None:
    (index,) = (await ask("getArtists"))["artists"]["index"]
    assert (index["name"], index["artist"][0]["name"]) == ("N", "Nova Reed")
    artist = (await ask("getArtist", {"id": index["artist"][0]["id"]}))["artist"]
    assert [album["name"] for album in artist["album"]] == ["Dusk"]
    album = (await ask("getAlbum", {"id": artist["album"][0]["id"]}))["album"]
    assert album["id"] == album_id_of(SONG)
    assert [song["id"] for song in album["song"]] == ["song-1"]
    (folder,) = (await ask("getMusicFolders"))["musicFolders"]["musicFolder"]
    below = (await ask("getMusicDirectory", {"id": str(folder["id"])}))["directory"]["child"]
    assert [(one["id"], one["isDir"]) for one in below] == [(artist["id"], True)]
    below = (await ask("getMusicDirectory", {"id": artist["id"]}))["directory"]["child"]
    assert [(one["id"], one["isDir"]) for one in below] == [(album["id"], True)]
    below = (await ask("getMusicDirectory", {"id": album["id"]}))["directory"]["child"]
    assert [(one["id"], one["isDir"]) for one in below] == [("song-1", False)]
    found = (await ask("search3", {"query": "lant"}))["searchResult3"]
    assert [len(found[kind]) for kind in ("artist", "album", "song")] == [0, 0, 1]
    assert [one["id"] for one in (await ask("getAlbumList2", {"type": "newest"}))["albumList2"]["album"]] == [
        album["id"]
    ]
    assert (await ask("getGenres"))["genres"]["genre"] == [{"songCount": 1, "albumCount": 1, "value": "ambient"}]
    assert (await ask("getRandomSongs"))["randomSongs"]["song"][0]["title"] == "Paper <Lanterns>"
    assert (await ask("getSongsByGenre", {"genre": "Ambient"}))["songsByGenre"]["song"][0]["id"] == "song-1"
    assert (await ask("getIndexes"))["indexes"]["lastModified"] == 1_795_953_600_000
    assert (await ask("getScanStatus"))["scanStatus"] == {"scanning": False, "count": 1}


async def test_what_there_is_none_of_is_empty() -> None:
    assert (await ask("getLicense"))["license"] == {"valid": True}
    assert (await ask("getPlaylists"))["playlists"] == {"playlist": []}
    assert (await ask("getPodcasts"))["podcasts"] == {"channel": []}
    assert (await ask("getArtistInfo2", {"id": "ar-1"}))["artistInfo2"] == {}
    assert "playQueue" not in await ask("getPlayQueue")
