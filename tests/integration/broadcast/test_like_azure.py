"""Songs are told by identities alone, over TLS: each with the rights that its process has on Azure."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.eventhub import EventData
from click.testing import CliRunner

from localcloud_tests.support.webhooks import Webhook
from songline.cli import main
from songline.cloud import eventhubs
from songline.cloud.credentials import entra
from songline.cloud.settings import read_eventhubs
from songline.deployment.prepare import ensure_containers
from songline.processes.azure_like import declare_containers
from songline.processes.managed_identity import CLIENT, COMMANDS, client_ids
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import encode
from songline.schemas.events import SongUploaded
from songline.schemas.examples import EVENTS
from tests.support.azure_like import AzureLikeCloud
from tests.support.process import WorkerProcess
from tests.support.waiting import wait_for_async

UPLOADED = EVENTS[SongUploaded]
DEADLINE_S = 120.0


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[AzureLikeCloud]:
    entra.cache_clear()
    started = AzureLikeCloud(tmp_path / "azure", "--eventgrid").start()
    yield started
    started.stop()
    entra.cache_clear()


async def test_a_song_is_told_by_identities_with_the_rights_of_azure(cloud: AzureLikeCloud, tmp_path: Path) -> None:
    assert cloud.keys.control is not None
    await asyncio.to_thread(declare_containers, f"http://127.0.0.1:{cloud.ports['control']}", cloud.keys.control)
    environ = dict(cloud.environment)
    worker = WorkerProcess(
        "songline.processors.broadcast", {**environ, CLIENT: client_ids()["broadcast"]}, tmp_path / "worker.log"
    )
    with cloud.acting_as(COMMANDS):
        await ensure_containers(environ)

        def songline(*arguments: str) -> str:
            done = CliRunner().invoke(main, arguments, env=environ)
            assert done.exit_code == 0, done.output
            return done.output

        async with Webhook() as webhook:
            made = await asyncio.to_thread(songline, "subscribe", webhook.url, "--name", "shop", "--json")
            assert json.loads(made)["state"] == "Succeeded"
            worker.start()
            try:
                async with eventhubs.producer(read_eventhubs(environ), MUSIC_EVENTS) as producer:
                    await producer.send_batch([EventData(encode(UPLOADED))], partition_id="0")

                async def is_told() -> bool:
                    return any(one.event["id"] == UPLOADED.id for one in webhook.events)

                assert await wait_for_async(is_told, "the song", DEADLINE_S), worker.said
                assert worker.stop() == 0, worker.said
            finally:
                worker.kill()
        assert "shop" in await asyncio.to_thread(songline, "subscriptions")
        assert "deleted" in await asyncio.to_thread(songline, "subscriptions", "--delete", "shop")
