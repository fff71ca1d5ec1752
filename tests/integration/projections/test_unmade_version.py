"""Reads of libraries while their worker makes the first version."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.projections import live_version
from songline.projections.api import create
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked
from tests.support.library import LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

PATH = "/v1/users/ana/summary"


async def test_no_answer_names_a_position_that_was_applied_since_its_version_was_made(
    song_cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = song_cloud.environment
    app = create(read_cosmos(environment), hubs=read_eventhubs(environment))
    async with (
        libraries_on(song_cloud) as hub,
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline", timeout=60) as client,
    ):
        monkeypatch.setattr(live_version, "KEPT_S", 600)
        assert (await client.get(PATH)).json()["liked"] == 0
        like = SongLiked(user_id="ana", song_id="song-1")
        await hub.tell(Event(id="like", source="/tests", time=datetime.now(UTC), data=like), partition="1")

        async def is_applied() -> bool:
            return await hub.read_up_to({"1": 0})

        worker = LibraryWorker(song_cloud, tmp_path / "log").start()
        try:
            await wait_for_async(is_applied, "the like to be applied")
        finally:
            worker.kill()
        # The API has not heard of the first version yet.
        behind = await client.get(PATH, params={"min_position": "1:0", "wait": "0"})
        assert (behind.status_code, behind.json()["title"]) == (503, "Not there yet")
        assert (await client.get(PATH)).json()["position"] == {}
        monkeypatch.setattr(live_version, "KEPT_S", 0)
        assert (await client.get(PATH, params={"min_position": "1:0"})).json()["liked"] == 1
