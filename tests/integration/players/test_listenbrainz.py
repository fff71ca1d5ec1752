"""Real clients of ListenBrainz report to a whole system, each with its own configuration only."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import liblistenbrainz
import msgspec
import pytest
from liblistenbrainz.errors import InvalidAuthTokenException, ListenBrainzAPIException

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.identity.scopes import Scope
from songline.processors.catalog.fold import document_of
from songline.schemas.channels import DATABASE, SONGS
from songline.schemas.song_names import song_name
from songline.schemas.songs import Song
from tests.integration.players.conftest import LISTENBRAINZ, PlayerSystem
from tests.support.catalog import stated
from tests.support.players import HttpsFront, MpdStub
from tests.support.waiting import wait_for, wait_for_async

T = TypeVar("T")
MBID = "e225fb84-dc9a-419e-adcd-9890f59ec432"
OLD_S = 1_616_432_101
"""In 2021."""
ODE = Song(
    id="song-ode",
    user_id="ada",
    title="Ode to Tests",
    artist="Ada Fixture",
    duration_ms=200_000,
    uploaded_at=datetime(2026, 11, 22, tzinfo=UTC),
)
SCROBBLED_S = 120.0
"""mpdscrobble looks every ten seconds."""


def connected(system: PlayerSystem, token: str) -> Any:
    client = liblistenbrainz.ListenBrainz(api_base_url=system.api.address)
    client.set_auth_token(token)
    return client


def listen(title: str, at_s: int | None = None, **others: Any) -> Any:
    return liblistenbrainz.Listen(track_name=title, artist_name="Ada Fixture", listened_at=at_s, **others)


def eventually(probe: Callable[[], T], what: str) -> T:
    return wait_for(probe, what, 90)


async def announce(system: PlayerSystem, song: Song) -> None:
    """Put a song into the catalog."""
    async with cosmos.client(read_cosmos(system.environment)) as client:
        document = document_of(song.id, {(0, song.user_id): stated(song)})
        await cosmos.container(client, DATABASE, SONGS).upsert_item(msgspec.to_builtins(document))


def plays_of(system: PlayerSystem, song_id: str) -> int:
    """How often the song was heard within a week, as the chart has it."""
    with system.api.blocking_client() as http:
        answer = http.get("/v1/charts/top/7d")
        if answer.status_code != 200:
            return 0
        return sum(entry["listens"] for entry in answer.json()["entries"] if entry["songId"] == song_id)


def test_liblistenbrainz_reports_reads_back_and_likes(system: PlayerSystem) -> None:
    user = "lib-7"
    asyncio.run(announce(system, ODE))
    client = connected(system, system.token(user))
    now_s = int(time.time())

    played = listen("Ode to tests (feat. Bo)", now_s - 60, recording_mbid=MBID, additional_info={"media_player": "x"})
    unknown = listen("Nobody uploaded this", now_s - 30, release_name="Demos")
    for _ in range(2):
        assert client.submit_single_listen(played) == {"status": "ok"}
    assert client.submit_single_listen(unknown) == {"status": "ok"}
    history = [listen(f"Old {number}", OLD_S + 300 * number) for number in range(60)]
    history.append(listen("Ode to Tests", OLD_S + 100_000))
    for _ in range(2):
        assert client.submit_multiple_listens(history) == {"status": "ok"}

    assert eventually(lambda: client.get_user_listen_count(user) == 63, "63 listens in the library")
    found = client.get_listens(user)
    assert [one.track_name for one in found[:4]] == ["Nobody uploaded this", "Ode to Tests", "Ode to Tests", "Old 59"]
    assert [one.listened_at for one in found[:2]] == [now_s - 30, now_s - 60]
    assert (found[1].recording_msid, found[0].artist_name) == (ODE.id, "Ada Fixture")
    assert found[0].recording_msid == song_name("Nobody uploaded this", ["Ada Fixture"]).id
    assert len(client.get_listens(user, count=100)) == 63
    assert [one.track_name for one in client.get_listens(user, max_ts=OLD_S + 600, count=10)] == ["Old 1", "Old 0"]
    assert [one.track_name for one in client.get_listens(user, min_ts=OLD_S, count=2)] == ["Old 2", "Old 1"]

    by_name, old = (song_name(title, ["Ada Fixture"]).id for title in ("Nobody uploaded this", "Old 1"))

    def counted() -> bool:
        return (plays_of(system, ODE.id), plays_of(system, by_name)) == (1, 1)

    eventually(counted, "both plays in the chart")
    assert plays_of(system, old) == 0, "imports move no chart"

    assert client.submit_playing_now(listen("Ode to Tests")) == {"status": "ok"}
    playing = eventually(lambda: client.get_playing_now(user), "what plays now")
    assert (playing.track_name, playing.artist_name) == ("Ode to Tests", "Ada Fixture")

    def loved() -> list[str]:
        found = client.get_user_feedback(user, 1, metadata=True)
        return [one["track_metadata"]["track_name"] for one in found["feedback"]]

    assert client.submit_user_feedback(1, MBID) == {"status": "ok"}
    eventually(lambda: loved() == ["Ode to Tests"], "the like")
    assert client.submit_user_feedback(0, MBID) == {"status": "ok"}
    eventually(lambda: loved() == [], "no like")
    with pytest.raises(ListenBrainzAPIException) as unknown_recording:
        client.submit_user_feedback(1, MBID.replace("e", "f"))
    assert unknown_recording.value.message.startswith("recording_mbid: saw f225")


def test_an_import_by_a_player_is_shown_and_adds_up(system: PlayerSystem) -> None:
    for user in ("imports-7", "imports-8"):
        day = datetime.now(UTC).date()
        client = connected(system, system.token(user, "phone"))
        named = [f"{number:08x}{MBID[8:]}" for number in range(3)]
        client.submit_multiple_listens(
            [
                listen(f"Old {number}", OLD_S + 300 * number, recording_mbid=named[number], additional_info={})
                for number in range(3)
            ]
        )
        client.submit_multiple_listens([listen(f"Old {number}", OLD_S + 300 * number) for number in range(1, 5)])
        if datetime.now(UTC).date() == day:
            # Else it was two imports: each day has its own.
            break
    with system.api.blocking_client() as http:
        (shown,) = http.get(f"/v1/users/{user}/imports").raise_for_status().json()["imports"]
    counts = shown["counts"]
    assert client.submit_user_feedback(1, named[2]) == {"status": "ok"}, "it was named among others"
    assert shown["fileName"].startswith("phone, ")
    assert (counts["read"], counts["taken"], counts["known"], counts["byName"]) == (7, 5, 2, 5)


def test_tokens_are_of_one_listener_and_can_be_revoked(system: PlayerSystem) -> None:
    token = system.songline("listener", "token", "tokens-7", "--player", "phone").strip()
    reading = system.token("tokens-7", "reader", Scope.LIBRARY_READ)
    with pytest.raises(InvalidAuthTokenException):
        connected(system, "1f0c8a52-6b1e-4c0f-9d6a-3c1d5e0b7a94")
    client = connected(system, token)
    with pytest.raises(ListenBrainzAPIException) as refused:
        client.get_listens("somebody-else")
    assert refused.value.status_code == 403
    with pytest.raises(ListenBrainzAPIException) as lacking:
        connected(system, reading).submit_single_listen(listen("Ode", int(time.time())))
    assert "events:write" in lacking.value.message
    assert connected(system, reading).get_user_listen_count("tokens-7") == 0
    listed = system.songline("listener", "tokens", "tokens-7", "--json")
    assert token not in listed
    rows = [msgspec.json.decode(line) for line in listed.splitlines()]
    assert [row["player"] for row in rows] == ["phone", "reader"]

    assert system.songline("listener", "revoke", "tokens-7", rows[0]["id"]) == f"revoked: {rows[0]['id']}  phone\n"

    def is_refused() -> bool:
        try:
            client.submit_single_listen(listen("Ode", int(time.time())))
        except ListenBrainzAPIException as error:
            return bool(error.status_code == 401)
        return False

    eventually(is_refused, "the token to be refused")


def test_errors_and_limits_have_listenbrainz_s_form(system: PlayerSystem) -> None:
    headers = {"Authorization": f"Token {system.token('forms-7')}"}
    with httpx.Client(base_url=system.api.address, timeout=60, trust_env=False) as http:
        asked = {
            ("GET", "/1/user/forms-7/listens", None): 401,
            ("GET", "/1/user/forms-7/listens?count=x", "token"): 400,
            ("GET", "/1/user/forms-7/listens?other=1&count=3", "token"): 200,
            ("POST", "/1/submit-listens", "token"): 400,
            ("GET", "/1/nothing", "token"): 404,
            ("DELETE", "/1/submit-listens", "token"): 405,
        }
        for (method, path, shown), status in asked.items():
            answer = http.request(method, path, headers=headers if shown else {})
            assert answer.status_code == status, (path, answer.text)
            assert answer.headers["content-type"] == "application/json"
            if status != 200:
                assert answer.json()["code"] == status
                assert answer.json()["error"]
            if status in (200, 400):
                assert int(answer.headers["x-ratelimit-remaining"]) < int(answer.headers["x-ratelimit-limit"])
                assert int(answer.headers["x-ratelimit-reset-in"]) >= 0


@asynccontextmanager
async def mpdscrobble(mpd: MpdStub, front: HttpsFront, token: str, folder: Path) -> AsyncIterator[Path]:
    """The daemon, which knows its player, its user and its token, and no other server than ListenBrainz'."""
    config = folder / "mpdscrobble.conf"
    config.write_text(
        f"[mpdscrobble]\nhost = 127.0.0.1\nport = {mpd.port}\n\n[listenbrainz]\nusername = mpd-7\napi_key = {token}\n"
    )
    log = folder / "mpdscrobble.log"
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mpdscrobble", "--debug", "-c", str(config)),
            env={**os.environ, **front.environment},
            stdout=said,
            stderr=said,
        )
    try:
        yield log
    finally:
        process.terminate()
        await process.wait()


async def test_a_daemon_whose_server_is_fixed_scrobbles_what_mpd_plays(system: PlayerSystem, tmp_path: Path) -> None:
    token = await asyncio.to_thread(system.token, "mpd-7")
    target = urlsplit(system.api.address)
    front = HttpsFront(tmp_path, LISTENBRAINZ, (str(target.hostname), target.port or 0))
    song = {"Artist": "Bo Daemon", "Title": "Played by mpd", "Album": "Daemons", "duration": "180.0"}
    async with front.serving(), MpdStub().serving() as mpd:
        mpd.song, mpd.elapsed_s = song, 170.0
        async with mpdscrobble(mpd, front, token, tmp_path) as log:
            # It looks first when it begins, and again ten seconds later.
            await wait_for_async(mpd.was_asked, "mpdscrobble to see the song", SCROBBLED_S)
            mpd.song = {**song, "Title": "Next"}
            await wait_for_async(partial(says, log, "ListenBrainz response: "), "mpdscrobble to send", SCROBBLED_S)
            assert b'{"status":"ok"}' in await asyncio.to_thread(log.read_bytes)
    client = await asyncio.to_thread(connected, system, token)

    async def heard() -> bool:
        return [one.track_name for one in await asyncio.to_thread(client.get_listens, "mpd-7")] == ["Played by mpd"]

    await wait_for_async(heard, "the song in the library", 90)


async def says(log: Path, text: str) -> bool:
    return text in await asyncio.to_thread(log.read_text)
