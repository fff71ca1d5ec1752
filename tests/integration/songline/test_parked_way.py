"""The whole way of a record: a reader fails on it, it is parked, the reader is mended, it is sent again."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner

from songline.audit.library_reference import libraries
from songline.cli import main
from songline.cloud import cosmos
from songline.processors.runtime.parked_store import ParkedStore
from songline.schemas.channels import DATABASE, PARKED
from songline.schemas.envelope import Event, decode
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongUnliked
from tests.support.library import DIALS, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.misbehaving import HUNG, RAISES
from tests.support.process import WorkerProcess
from tests.support.waiting import wait_for_async
from tests.support.worker import read_hub

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
USER = "user-7"


def event(second: int, data: Payload) -> Event:
    return Event(id=f"event-{second}", source="/tests", time=NOON + timedelta(seconds=second), data=data)


def played(second: int, song_id: str) -> Event:
    data = SongPlayed(user_id=USER, song_id=song_id, played_ms=40_000, duration_ms=200_000, region="DE")
    return event(second, data)


async def test_what_a_mended_reader_is_sent_again_counts_once_and_at_its_own_time(
    start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    cloud = start_localcloud("--blobs")
    environment = {**cloud.environment, **DIALS, HUNG: str(tmp_path / "hung")}
    failing = WorkerProcess("tests.support.misbehaving", environment, tmp_path / "failing.log")
    mended = LibraryWorker(cloud, tmp_path / "mended.log")

    async def resubmit(*arguments: str) -> str:
        command = ["parked", "resubmit", *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, main, command, env=dict(cloud.environment))
        assert result.exit_code == 0, result.output
        return result.output

    async with libraries_on(cloud) as hub, cosmos.client(cloud.settings().cosmos) as client:
        store = ParkedStore(cosmos.container(client, DATABASE, PARKED))
        await hub.tell(played(1, "song-a"), event(2, SongLiked(user_id=USER, song_id=RAISES)), played(3, RAISES))
        try:

            async def both_are_parked() -> bool:
                if not failing.running:
                    failing.start()
                return await store.count() == 2 and await hub.read_up_to({"0": 2})

            await wait_for_async(both_are_parked, "both records to be parked", 120)
            failing.stop()
            mended.start()
            # The listener has changed their mind meanwhile, which the like of before must not undo.
            await hub.tell(event(9, SongUnliked(user_id=USER, song_id=RAISES)), played(10, "song-b"))
            original = await hub.ends(["0"])
            output = await resubmit("--reader", "library")
            assert output.splitlines() == ["resubmitted: music-events:0:1", "resubmitted: music-events:0:2"]
            assert await store.count() == 0
            # By mistake, once more.
            await resubmit("music-events:0:1", "music-events:0:2")
            ends = await hub.ends(["0"])
            assert ends["0"] == original["0"] + 4
            await wait_for_async(lambda: hub.read_up_to(ends), "the library to be at the end", 60)
            log = [place for place in await read_hub(cloud.settings()) if place[1] <= original["0"]]
            found = await hub.all()
            assert found == libraries((partition, position, decode(body)) for partition, position, body in log)
            library = found[USER]
            assert library is not None
            assert (library.rows[RAISES].plays, library.rows[RAISES].liked_at) == (1, None)
            assert mended.stop() == 0, mended.said
        finally:
            failing.kill()
            mended.kill()
