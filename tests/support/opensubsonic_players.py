"""Real clients of OpenSubsonic, each with its own configuration only, play a song to its end."""

import asyncio
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aiohttp import ClientResponseError
from libopensonic import AsyncConnection
from libopensonic.errors import CredentialError, DataNotFoundError

from tests.support.waiting import wait_for, wait_for_async

JAVASCRIPT = Path(__file__).parents[1] / "interop" / "js"
NODE = (sys.executable, "-m", "localcloud.node")


class BusyServerError(Exception):
    """A service behind the API did not answer in time: a slow machine is slow for players too."""


def moment_ms() -> int:
    """A moment that a player may have measured: of a minute ago."""
    return (int(time.time()) - 60) * 1_000 + 7


def subsonic_api(address: str, key: str, words: str, at_ms: int) -> dict[str, Any]:
    """npm's subsonic-api finds a song by `words`, streams, reports and likes it, with an API key."""
    lock, installed = JAVASCRIPT / "package-lock.json", JAVASCRIPT / "node_modules" / ".package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another worker may be installing it
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            command = [*NODE, "npm", "ci", "--ignore-scripts", "--no-progress"]
            subprocess.run(command, cwd=JAVASCRIPT, check=True, capture_output=True, timeout=300)
    arguments = [address, key, words, str(at_ms)]
    done = subprocess.run(
        [*NODE, "player.mjs", *arguments], cwd=JAVASCRIPT, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode and '"code":0' in done.stderr:
        raise BusyServerError(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


async def py_opensonic(address: str, user: str, password: str, words: str, at_ms: int) -> dict[str, Any]:
    """PyPI's py-opensonic does so with a user and a password, of which it sends a salted digest."""
    url = urlsplit(address)
    server = {"base_url": f"{url.scheme}://{url.hostname}", "port": url.port or 80}
    client = AsyncConnection(**server, username=user, password=password)
    stranger = AsyncConnection(**server, username=user, password="another password")

    async def playing() -> list[str]:
        return [one.id for one in await client.get_now_playing() if one.username == user]

    async def starred() -> list[str]:
        return [one.id for one in (await client.get_starred2()).song or ()]

    async def nothing_starred() -> bool:
        return not await starred()

    try:
        assert await client.ping()
        (song,) = (await client.search3(words)).song
        assert (await client.get_song(song.id)).title == song.title
        whole = await client.download(song.id)
        part = await client.stream(song.id, byte_range="bytes=10-19")
        assert await client.scrobble(song.id, submission=False)
        assert await wait_for_async(playing, "the song among those that play now", 90) == [song.id]
        for _ in range(2):
            assert await client.scrobble(song.id, listen_time=at_ms // 1_000)
        # Its album has no other song.
        assert await client.star(album_ids=[song.album_id])
        # A library that is more than five seconds late is served as it is.
        liked = await wait_for_async(starred, "the song among those that are liked", 90)
        assert [one.id for one in (await client.get_starred2()).album] == [song.album_id]
        assert await client.unstar([song.id])
        await wait_for_async(nothing_starred, "the like to be gone", 90)
        with pytest.raises(DataNotFoundError):
            await client.get_album("al-none")
        with pytest.raises(CredentialError):
            await stranger.ping()
        return {
            "found": song.id,
            "sound": sha256(await whole.read()).hexdigest(),
            "part": (part.status, await part.read()),
            "liked": liked,
        }
    except ClientResponseError as error:
        if error.status != 503:
            raise
        raise BusyServerError(str(error)) from None
    finally:
        await client.cleanup()
        await stranger.cleanup()


def played_by_real_players(
    api: str, song_id: str, sound: bytes, genre: str, songline: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Both players find the song with these bytes, hear it, and report that: each play is in the chart of its genre,
    once. `songline` runs the command with these arguments."""

    def token(*arguments: str) -> str:
        made = songline("listener", "token", *arguments)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def heard() -> int:
        answer = httpx.get(f"{api}/v1/charts/top/1h", params={"scope": f"genre:{genre}"}, timeout=60)
        entries = answer.json()["entries"] if answer.status_code == 200 else []
        return sum(entry["listens"] for entry in entries if entry["songId"] == song_id)

    digest, at_ms = sha256(sound).hexdigest(), moment_ms()
    key = token("in-javascript", "--player", "subsonic-api")
    seen = _patiently(lambda: subsonic_api(api, key, "paper lanterns", at_ms))
    assert seen == {
        "extensions": ["apiKeyAuthentication", "formPost"],
        "found": [song_id],
        "album": [song_id],
        "type": "audio/flac",
        "created": True,
        "sound": digest,
        "starred": [[song_id, True]],
        "cover": 404,
        "refused": 44,
    }
    wait_for(lambda: heard() == 1, "its play in the chart, once", 90)
    password = token("in-python", "--player", "py-opensonic", "--salted")
    found = _patiently(lambda: asyncio.run(py_opensonic(api, "in-python", password, "nova lanterns", at_ms)))
    assert found == {"found": song_id, "sound": digest, "part": (206, sound[10:20]), "liked": [song_id]}
    wait_for(lambda: heard() == 2, "the other play in the chart, once", 90)


def _patiently(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `run` returns, once it came through. What it reports twice counts once."""
    last = ""

    def attempt() -> dict[str, Any]:
        nonlocal last
        try:
            return run()
        except BusyServerError as error:
            last = str(error)
            return {}

    try:
        return wait_for(attempt, "a player to come through", 120)
    except AssertionError as error:
        error.add_note(last)
        raise
