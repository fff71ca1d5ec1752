"""A song's name at every door of a whole system: after it was renamed, and after a name of histories was matched with
it. What listeners did is counted on."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from songline.identity.scopes import Scope
from songline.identity.token_source import token_source
from songline.processes.environment import load
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongUploaded
from songline.schemas.song_names import song_name
from tests.integration.songline.test_up import Up, songline, terminal, up
from tests.support.waiting import wait_for

__all__ = ("up",)

SCOPES = [Scope.ADMIN, Scope.CHARTS_READ, Scope.EVENTS_WRITE_ANY, Scope.LIBRARY_READ_ANY]
SONG, LISTENER = "song-named-twice", "ann"
LISTENERS = LISTENER, "bob", "cid"
DEADLINE = 180.0
NAME = song_name("Quiet Street", ("Benno Falk",))


class Doors:
    """The doors of the system at `address`, to one who may do all."""

    def __init__(self, address: str, data: Path) -> None:
        token = token_source(load(terminal(data)), user=None, scopes=SCOPES).token()
        headers = {"Authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False)
        self.data = data
        self._keys: dict[str, str] = {}

    def send(self, *facts: Payload) -> None:
        for data in facts:
            event = Event(id=str(uuid4()), source="/tests", time=datetime.now(UTC), data=data)
            answer = self.client.post(
                "/v1/events", content=encode(event), headers={"Content-Type": "application/cloudevents+json"}
            )
            assert answer.status_code < 300, answer.text

    def get(self, path: str, **params: str) -> dict[str, Any]:
        """The answer; empty while there is none, or a store does not answer in time."""
        answer = self.client.get(path, params=params)
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return found

    def player(self, path: str, **params: str) -> dict[str, Any]:
        """The answer to a listener's player."""
        if LISTENER not in self._keys:
            made = songline(self.data, "listener", "token", LISTENER, "--player", "player")
            assert made.returncode == 0, made.stderr
            self._keys[LISTENER] = made.stdout.strip()
        key = self._keys[LISTENER]
        if path.startswith("/rest/"):
            params |= {"apiKey": key, "v": "1.16.1", "c": "tests", "f": "json"}
        answer = httpx.get(
            f"{self.client.base_url}{path}", params=params, headers={"Authorization": f"Token {key}"}, timeout=60
        )
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return dict(found.get("subsonic-response", found))

    def lines(self, path: str, listed: str, *fields: str, **params: str) -> list[tuple[Any, ...]]:
        """The fields of the lines about the song in a list."""
        return [
            tuple(one[field] for field in fields)
            for one in self.get(path, **params).get(listed, ())
            if one.get("songId", one.get("id")) == SONG
        ]

    def counted(self, song_id: str) -> int:
        """The listens in the hours of a song."""
        hours: list[dict[str, int]] = self.get(f"/v1/songs/{song_id}/plays").get("hours", [])
        return sum(hour["listens"] for hour in hours)

    def standing(self, song_id: str) -> int:
        """The listens of a song in the chart of the last hour."""
        entries: list[dict[str, Any]] = self.get("/v1/charts/top/1h").get("entries", [])
        return sum(one["listens"] for one in entries if one["songId"] == song_id)

    def plays(self, song_id: str) -> int:
        """The plays of a song in the listener's library."""
        entries: list[dict[str, Any]] = self.get(f"/v1/users/{LISTENER}/library").get("entries", [])
        return sum(one["plays"] for one in entries if one["songId"] == song_id)


def told_at_all_doors(doors: Doors, title: str, artist: str) -> Mapping[str, object]:
    """What each door says of the song, by a word of its title too."""
    word = title.split()[0]
    user = f"/v1/users/{LISTENER}"
    payload = doors.player(f"/1/user/{LISTENER}/listens").get("payload", {})
    feedback = doors.player(f"/1/feedback/user/{LISTENER}/get-feedback", metadata="true").get("feedback", ())
    return {
        "chart": doors.lines("/v1/charts/top/1h", "entries", "title", "artist", "listens"),
        "trending": doors.lines("/v1/charts/trending/24h", "entries", "title", "artist", "listens", "likes"),
        "library": doors.lines(f"{user}/library", "entries", "title", "artist", "plays"),
        "recent": doors.lines(f"{user}/recent", "listens", "title", "artist"),
        "search": doors.lines("/v1/songs", "songs", "title", "artist", q=word),
        "artist": doors.lines("/v1/songs", "songs", "title", artist=artist),
        "catalog": [doors.get(f"/v1/songs/{SONG}").get("song", {}).get(name) for name in ("title", "artist")],
        "hours": doors.counted(SONG),
        "listens": [one["track_metadata"]["track_name"] for one in payload.get("listens", ())],
        "feedback": [one["track_metadata"]["track_name"] for one in feedback],
        "subsonic search": [
            (one["title"], one["artist"])
            for one in doors.player("/rest/search3", query=word).get("searchResult3", {}).get("song", ())
        ],
        "subsonic song": doors.player("/rest/getSong", id=SONG).get("song", {}).get("title"),
        "subsonic starred": [
            one["title"] for one in doors.player("/rest/getStarred2").get("starred2", {}).get("song", ())
        ],
    }


def expected(title: str, artist: str) -> Mapping[str, object]:
    return {
        "chart": [(title, artist, 3)],
        "trending": [(title, artist, 3, 1)],
        "library": [(title, artist, 1)],
        "recent": [(title, artist)],
        "search": [(title, artist)],
        "artist": [(title,)],
        "catalog": [title, artist],
        "hours": 3,
        "listens": [title],
        "feedback": [title],
        "subsonic search": [(title, artist)],
        "subsonic song": title,
        "subsonic starred": [title],
    }


def wait_until_told(doors: Doors, title: str, artist: str) -> None:
    """Return when all doors say so; fail with what they say instead."""
    wanted = expected(title, artist)
    told: Mapping[str, object] = {}

    def is_told() -> bool:
        nonlocal told
        told = told_at_all_doors(doors, title, artist)
        return told == wanted

    try:
        wait_for(is_told, f"{title} at all doors", DEADLINE)
    except AssertionError:
        assert told == wanted
        raise


def uploaded(song_id: str, title: str, artist: str) -> SongUploaded:
    return SongUploaded(
        user_id="owner",
        song_id=song_id,
        title=title,
        artist=artist,
        duration_ms=200_000,
        sha256="0" * 64,
        size=1_000,
        content_type="audio/flac",
    )


def renamed(doors: Doors) -> None:
    doors.send(uploaded(SONG, "Earlier Lanterns", "Benno Falk"))
    wait_for(lambda: doors.get(f"/v1/songs/{SONG}"), "the song in the catalog", DEADLINE)
    doors.send(*(SongPlayed(user_id=user, song_id=SONG) for user in LISTENERS))
    doors.send(SongLiked(user_id=LISTENER, song_id=SONG))
    wait_until_told(doors, "Earlier Lanterns", "Benno Falk")
    doors.send(uploaded(SONG, "Later Harbours", "Alba Reed"))
    wait_until_told(doors, "Later Harbours", "Alba Reed")
    assert doors.lines("/v1/songs", "songs", "title", q="Earlier") == []
    assert doors.player("/rest/search3", query="Earlier").get("searchResult3", {}).get("song", []) == []


def matched(doors: Doors) -> None:
    doors.send(uploaded("song-matched", "Quiet Street", "Benno Falk"))
    doors.send(*(SongPlayed(user_id=user, song_id=NAME.id) for user in LISTENERS[:2]))
    places = doors.standing, doors.counted, doors.plays

    def counts(song_id: str) -> list[int]:
        return [count(song_id) for count in places]

    wait_for(lambda: counts(NAME.id) == [2, 2, 1], "the name's plays everywhere", DEADLINE)
    wait_for(lambda: doors.get("/v1/songs/song-matched"), "the song in the catalog", DEADLINE)

    def said(*arguments: str) -> str:
        done = songline(doors.data, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    told = said("match", "set", NAME.id, "song-matched")
    assert all(f"songline rebuild {one} --switch" in told or one in told for one in ("library", "charts", "plays"))
    doors.send(SongPlayed(user_id=LISTENERS[2], song_id=NAME.id))
    wait_for(lambda: counts("song-matched") == [1, 1, 0], "a play that counts for the song", DEADLINE)
    assert counts(NAME.id) == [2, 2, 1]
    for projection in ("library", "charts", "plays"):
        said("rebuild", projection, "--switch", "--drop-former")
    wait_for(lambda: counts("song-matched") == [3, 3, 1], "all plays to count for the song", DEADLINE)
    assert counts(NAME.id) == [0, 0, 0]
    assert NAME.id in said("match", "list", "--json")

    said("match", "undo", NAME.id)
    for projection in ("library", "charts", "plays"):
        said("rebuild", projection, "--switch", "--drop-former")
    wait_for(lambda: counts(NAME.id) == [3, 3, 1], "all plays to count for the name", DEADLINE)
    assert counts("song-matched") == [0, 0, 0]


@pytest.mark.timeout(1_200)
def test_a_renamed_song_and_a_matched_name_are_told_alike_at_all_doors(up: Callable[..., Up]) -> None:
    system = up("--no-simulator")
    doors = Doors(system.healthy(), system.data)
    renamed(doors)
    matched(doors)
