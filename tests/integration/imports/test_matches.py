"""A name is a song of the catalog from the moment on at which somebody says so, and what was before moves at a rebuild.

Charts take the same matches where their worker reads events, as `test_names_everywhere.py` shows.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from songline.cli import main
from songline.cloud import cosmos
from songline.processes.entities import CONTAINERS
from songline.processors.catalog.match_store import MatchStore
from songline.processors.history.versions.opening import open_versions
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.runtime.match_watch import MatchWatch
from songline.schemas.channels import DATABASE, LIBRARY, NAMES
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUploaded
from songline.schemas.name_matches import LEAD_S, MatchStatement
from songline.schemas.song_names import song_name
from tests.integration.history.test_rebuild import build
from tests.support.api import ApiProcess
from tests.support.catalog import CatalogWorker
from tests.support.ingestion import App
from tests.support.library import LibraryWorker
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

QUIET_STREET = song_name("Quiet Street", ("Benno Falk",), "Harbour")
NAME = QUIET_STREET.id


def uploaded(song_id: str) -> SongUploaded:
    return SongUploaded(
        user_id="owner", song_id=song_id, title="Quiet Street", artist="Benno Falk", duration_ms=200_000
    )


class Matching:
    """A listener's way through the API, a catalog worker and a library worker."""

    def __init__(self, client: httpx.AsyncClient, environment: Mapping[str, str]) -> None:
        self.client = client
        self._environment = environment
        self._sent = 0

    async def send(self, *facts: Payload) -> None:
        """Publish facts, and return when the hub has them, or the disk where the hub is slow."""
        for data in facts:
            self._sent += 1
            event = Event(id=f"fact-{self._sent}", source="/tests", time=datetime.now(UTC), data=data)
            headers = {"Content-Type": "application/cloudevents+json"}
            answer = await self.client.post("/v1/events", content=encode(event), headers=headers)
            assert answer.json()["status"] in ("sent", "kept"), answer.text

    async def songs_of(self, user_id: str) -> dict[str, tuple[str | None, int]]:
        """The titles and plays in a library."""
        answer = await self.client.get(f"/v1/users/{user_id}/library")
        return {one["songId"]: (one["title"], one["plays"]) for one in answer.json().get("entries", ())}

    async def wait_for_songs(self, user_id: str, expected: Mapping[str, tuple[str | None, int]]) -> None:
        async def is_so() -> bool:
            # A store that does not answer in time, or has no version yet, is asked again.
            return await self.songs_of(user_id) == expected

        await wait_for_async(is_so, f"the library of {user_id} to be {expected}", 120)

    async def songline(self, *arguments: str) -> Result:
        """A command, as it is typed."""
        environment = {**self._environment, "SONGLINE_API": str(self.client.base_url), "COLUMNS": "200"}
        return await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment)


@pytest.fixture
async def matching(app: App, song_cloud: LocalCloud, tmp_path: Path) -> AsyncIterator[Matching]:
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    environment = {**song_cloud.environment, "SONGLINE_OUTBOX": str(tmp_path / "outbox.sqlite")}
    async with AsyncExitStack() as stack:
        for worker in (CatalogWorker(song_cloud, tmp_path / "c.log"), LibraryWorker(song_cloud, tmp_path / "l.log")):
            stack.callback(worker.start().kill)
        api = ApiProcess(environment, tmp_path / "api.log").start()
        stack.callback(api.kill)
        client = await stack.enter_async_context(api.client())
        yield Matching(client, {**environment, "SONGLINE_DATA": str(tmp_path / "data")})


async def test_a_name_counts_for_its_song_from_then_on_and_before_at_the_next_rebuild(
    matching: Matching, app: App, song_cloud: LocalCloud
) -> None:
    names = cosmos.container(app.cosmos, DATABASE, NAMES)
    await names.upsert_item(msgspec.to_builtins(QUIET_STREET))
    client = matching.client
    removed = SongRemoved(user_id="owner", song_id="gone")
    await matching.send(uploaded("song-1"), uploaded("song-2"), uploaded("gone"), removed)
    await matching.send(SongPlayed(user_id="bob", song_id=NAME), SongLiked(user_id="bob", song_id=NAME))
    await matching.wait_for_songs("bob", {NAME: ("Quiet Street", 1)})

    async def status(song_id: str) -> int:
        return (await client.get(f"/v1/songs/{song_id}")).status_code

    async def is_gone() -> bool:
        return [await status(one) for one in ("song-1", "song-2", "gone")] == [200, 200, 410]

    await wait_for_async(is_gone, "the catalog to know the songs", 120)
    named = (await client.get(f"/v1/songs/{NAME}")).json()["song"]
    assert named == {
        "id": NAME, "title": "Quiet Street", "artist": "Benno Falk", "artists": ["Benno Falk"], "album": "Harbour",
    }  # fmt: skip
    assert await status("name:nobody") == 404
    plays = await client.get(f"/v1/songs/{NAME}/plays")
    assert (plays.status_code, sum(hour["listens"] for hour in plays.json()["hours"])) == (200, 0)
    assert (await client.get(f"/v1/songs/{NAME}/audio")).status_code == 404

    async def said(name: str, song_id: object) -> tuple[int, str]:
        answer = await client.put(f"/v1/matches/{name}", json={"songId": song_id})
        return answer.status_code, str(answer.json().get("detail"))

    refusals = [
        await said(NAME, "nowhere"),
        await said(NAME, "gone"),
        await said(NAME, "name:other"),
        await said(NAME, 7),
        await said("song-1", "song-2"),
    ]
    assert [status for status, _ in refusals] == [404, 409, 400, 400, 404]
    words = ("There is no song nowhere", "was taken away at", "can't stand for another name", "songId", "is no name")
    assert all(word in detail for word, (_, detail) in zip(words, refusals, strict=True)), refusals
    assert (await client.delete(f"/v1/matches/{NAME}")).status_code == 404
    assert (await client.get(f"/v1/matches/{NAME}")).status_code == 404

    done = await matching.songline("match", "set", "--title", "quiet  street", "--artist", "BENNO FALK", "song-1")
    assert done.exit_code == 0, done.output
    assert f"{NAME} (Quiet Street, Benno Falk) is song song-1 from " in done.output
    assert "songline rebuild library --switch" in done.output
    await matching.send(SongPlayed(user_id="ann", song_id=NAME), SongPlayed(user_id="ann", song_id="song-1"))
    await matching.wait_for_songs("ann", {"song-1": ("Quiet Street", 2)})
    await matching.wait_for_songs("bob", {NAME: ("Quiet Street", 1)})
    assert (await said(NAME, "song-1"))[0] == 202
    status_code, detail = await said(NAME, "song-2")
    assert (status_code, "is song song-1, so it can't be song-2" in detail) == (409, True)
    listed = await matching.songline("match", "list")
    assert (NAME in listed.output, "Quiet Street, Benno Falk" in listed.output, "song-1" in listed.output) == (
        True,
        True,
        True,
    )
    assert (await client.get(f"/v1/songs/{NAME}")).json()["song"]["matchedWith"] == "song-1"

    # A rebuild takes what is said by now for all that was before.
    async with open_versions(song_cloud.environment) as services:
        await build(services, song_cloud.environment, LIBRARY)
        await services.switcher(VERSIONED[LIBRARY]).switch(None, force=True)
        await matching.wait_for_songs("bob", {"song-1": ("Quiet Street", 1)})

        done = await matching.songline("match", "undo", NAME)
        assert (done.exit_code, "is known by name only from" in done.output) == (0, True), done.output
        again = await matching.songline("match", "undo", NAME)
        assert (again.exit_code, "Nobody said which song" in again.output) == (1, True)
        await build(services, song_cloud.environment, LIBRARY)
        await services.switcher(VERSIONED[LIBRARY]).switch(None, force=True)
        await matching.wait_for_songs("bob", {NAME: ("Quiet Street", 1)})
        await matching.wait_for_songs("ann", {NAME: ("Quiet Street", 1), "song-1": ("Quiet Street", 1)})
    assert (await client.get("/v1/matches")).json()["matches"] == []


async def test_what_is_said_is_kept_once_and_told_to_whoever_watches(app: App) -> None:
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    names = cosmos.container(app.cosmos, DATABASE, NAMES)
    store, watch = MatchStore(names, lambda: 1_000.9), MatchWatch(names)
    await watch.refresh()
    name = "name:kept-once"
    first = MatchStatement(said_s=900, partition=1, position=7, from_s=905, song_id="song-1")
    await store.apply(name, first)
    await watch.refresh()
    # A statement that is read late holds LEAD_S after it was written: others have read events until then.
    assert [watch.matches.song_of(name, second) for second in (1_004, 1_000 + LEAD_S)] == [None, "song-1"]
    await MatchStore(names, lambda: 2_000.0).apply(name, first)
    await watch.refresh()
    assert watch.matches.song_of(name, 1_000 + LEAD_S) == "song-1"
    await store.apply(name, MatchStatement(said_s=1_100, partition=0, position=3, from_s=1_105))
    # One that is older changes nothing, whenever it comes.
    await store.apply(name, MatchStatement(said_s=899, partition=0, position=1, from_s=904, song_id="song-9"))
    await watch.refresh()
    assert watch.matches.song_of(name, 9_999) is None
    assert name not in watch.matches.joined
