"""Songs that come and go are told to webhooks: the broadcaster as a process, localcloud's topic, the commands."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from localcloud_tests.support.webhooks import OK, Received, Webhook, status
from songline.cli import main
from songline.cloud.settings import EVENTGRID_ENDPOINT, EVENTGRID_KEY
from songline.schemas.channels import BROADCAST
from songline.schemas.envelope import encode
from songline.schemas.events import SongPlayed, SongRemoved, SongUploaded
from songline.schemas.examples import EVENTS
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess
from tests.support.projection import Projection, told
from tests.support.waiting import wait_for_async

DIALS = {
    "SONGLINE_BROADCAST_FLUSH": "0.2",
    "SONGLINE_BROADCAST_LOOK": "0.5",
    "SONGLINE_BROADCAST_BALANCE": "0.5",
    "SONGLINE_BROADCAST_EXPIRE": "3",
}
UPLOADED, REMOVED = EVENTS[SongUploaded], EVENTS[SongRemoved]
OPTIONS = ("--blobs", "--eventgrid", "--eventgrid-schedule=0.1,0.2")


async def test_songs_are_told_at_least_once_with_their_ids(
    start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    cloud = await asyncio.to_thread(start_localcloud, *OPTIONS)
    environ = {
        **cloud.environment,
        EVENTGRID_ENDPOINT: f"http://127.0.0.1:{cloud.ports['eventgrid']}/api/events",
        EVENTGRID_KEY: cloud.keys.sas,
    }

    def songline(*arguments: str) -> str:
        done = CliRunner().invoke(main, arguments, env=environ)
        assert done.exit_code == 0, done.output
        return done.output

    fails = [500, 503]

    def fails_twice(_: Received) -> bytes:
        return status(fails.pop()) if fails else OK

    async with told(cloud, BROADCAST) as (producer, container), Webhook(fails_twice) as webhook:
        hub = Projection(producer, container)
        made = json.loads(await asyncio.to_thread(songline, "subscribe", webhook.url, "--name", "shop-1", "--json"))
        assert made["state"] == "Succeeded"
        async with Webhook() as removals, Webhook(agreement=status(403)) as unwilling:
            await asyncio.to_thread(songline, "subscribe", removals.url, "--name", "gone", "--songs", "removed")
            refused = await asyncio.to_thread(CliRunner().invoke, main, ["subscribe", unwilling.url], env=environ)
            assert refused.exit_code == 1
            assert "saw status 403" in refused.output
            worker = WorkerProcess("songline.processors.broadcast", {**environ, **DIALS}, tmp_path / "worker.log")
            worker.start()
            try:
                await hub.tell(UPLOADED, EVENTS[SongPlayed], b"no event", partition="0")
                await hub.tell(REMOVED, partition="1")
                assert await wait_for_async(lambda: has(webhook, UPLOADED.id, REMOVED.id), "both songs", 120)
                assert await wait_for_async(lambda: has(removals, REMOVED.id), "the song that went", 120)
                worker.kill()
                # Another goes on where this one was, at most some events before.
                before = len(webhook.events)
                worker = WorkerProcess("songline.processors.broadcast", {**environ, **DIALS}, tmp_path / "second.log")
                worker.start()
                later = encode(UPLOADED).replace(UPLOADED.id.encode(), b"later-1")
                await hub.tell(later, partition="0")
                assert await wait_for_async(lambda: has(webhook, "later-1"), "a later song", 120), worker.said
                assert worker.stop() == 0, worker.said
            finally:
                worker.kill()
            again = [one.event["id"] for one in webhook.events[before:]]
            assert set(again) <= {UPLOADED.id, REMOVED.id, "later-1"}
        # What was told again may come after the later song.
        types = {one.event["id"]: one.event["type"] for one in webhook.events}
        assert types["later-1"] == types[UPLOADED.id] == "songline.song.uploaded.v1"
        assert types[REMOVED.id] == "songline.song.removed.v1"
        assert {one.event["id"] for one in removals.events} == {REMOVED.id}
        listed = await asyncio.to_thread(songline, "subscriptions")
        assert "shop-1" in listed
        assert "gone" in listed
        assert "deleted" in await asyncio.to_thread(songline, "subscriptions", "--delete", "gone")
        assert "gone" not in await asyncio.to_thread(songline, "subscriptions")


async def has(webhook: Webhook, *ids: str) -> bool:
    """Whether events of all these ids have come to the webhook."""
    return {one.event["id"] for one in webhook.events} >= set(ids)
