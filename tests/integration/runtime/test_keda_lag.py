"""The lag that KEDA's scaler counts by our checkpoints in Blob Storage."""

from functools import partial
from pathlib import Path

from songline.cloud import blobs
from songline.cloud.settings import read_blobs, read_eventhubs
from songline.schemas.channels import CATALOG_GROUP, CHECKPOINT_BLOBS, MUSIC_EVENTS
from songline.schemas.envelope import encode
from songline.schemas.events import SongPlayed
from songline.schemas.examples import EVENTS
from tests.support import keda
from tests.support.catalog import CatalogWorker, catalog_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async


async def test_it_counts_what_waits_and_nothing_once_the_worker_is_idle(song_cloud: LocalCloud, tmp_path: Path) -> None:
    body = encode(EVENTS[SongPlayed])
    async with catalog_on(song_cloud) as catalog, blobs.client(read_blobs(song_cloud.environment)) as account:
        container = account.get_container_client(CHECKPOINT_BLOBS)
        namespace = read_eventhubs(song_cloud.environment).address
        lag = partial(keda.lag, catalog.producer, container, namespace, MUSIC_EVENTS, CATALOG_GROUP)
        assert await lag() == 0, "partitions that never had an event count nothing"
        # No partition has a checkpoint; two of them stay without events.
        await catalog.tell(*[body] * 5, partition="0")
        await catalog.tell(body, partition="1")
        assert await lag() == 6
        worker = CatalogWorker(song_cloud, tmp_path / "worker.log").start()
        try:

            async def is_zero() -> bool:
                return await lag() == 0

            assert await wait_for_async(is_zero, "a lag of nothing", 90)
            await catalog.tell(*[body] * 20, partition="2")
            assert 0 <= await lag() <= 20
            assert await wait_for_async(is_zero, "a lag of nothing again", 90)
            assert worker.stop() == 0, worker.said
        finally:
            worker.kill()
        await catalog.tell(*[body] * 3, partition="0")
        assert await lag() == 3
