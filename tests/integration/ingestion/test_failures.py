"""Services that are away, and failures that are nobody's fault: what costs a delivery, and what does not."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from songline.cloud import cosmos, eventhubs, servicebus
from songline.cloud.settings import CosmosSettings, read_cosmos, read_eventhubs, read_servicebus
from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio
from songline.processors.ingestion.audio.sandbox import ProbeFailedError, Sandbox
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.command_receiver import ReceiverConfig
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.event_sender import EventSender
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.processors.ingestion.worker import IngestionWorker
from songline.schemas.channels import DATABASE, INGESTIONS, MUSIC_EVENTS, SONG_COMMANDS
from tests.support.audio import song
from tests.support.ingestion import App, WorkerProcess
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

PACE = ReceiverConfig(lanes=1, wait=0.5, attempts=2, longest_pause=0.2, grace=1.0)


class FailingSandbox(Sandbox):
    """Its probes give no answer. A real one that has no time may still answer, where the machine is quick."""

    async def probe(self, path: Path) -> ProbedAudio | RefusedAudio:
        raise ProbeFailedError(f"the probe of {path.name} ended with code 1")


@asynccontextmanager
async def working(app: App, folder: Path, sandbox: Sandbox, store: CosmosSettings) -> AsyncIterator[asyncio.Event]:
    """A worker in this process, on the real wires; it ends with the block, or when the event is set."""
    stop = asyncio.Event()
    async with (
        servicebus.client(read_servicebus(app.environment)) as bus,
        eventhubs.producer(read_eventhubs(app.environment), MUSIC_EVENTS) as producer,
        AsyncExitStack() as stack,
    ):
        documents = cosmos.client(store)
        stack.push_async_callback(documents.close)
        ingestions = IngestionStore(cosmos.container(documents, DATABASE, INGESTIONS))
        outgoing = EventSender(producer)
        audio, now = AudioStore(app.blobs), lambda: datetime.now(UTC)
        work = CommandRunner(ingestions, app.catalog, audio, outgoing, sandbox, folder, now)
        running = asyncio.create_task(IngestionWorker(bus, work, PACE).run(stop))
        yield stop
        stop.set()
        await running


async def test_what_fails_too_often_is_a_dead_letter_that_says_why(app: App, tmp_path: Path) -> None:
    async with working(app, tmp_path, FailingSandbox(), read_cosmos(app.environment)):
        await app.upload("unprobed", song("wav", 0.5))
        ingestion = await app.settled("unprobed")
    assert (ingestion.state, ingestion.attempts) == ("dead", 2)
    assert ingestion.reason is not None
    assert "2 times" in ingestion.reason.text
    assert "ProbeFailed" in ingestion.reason.text
    (letter,) = [letter for letter in await app.dead_letters() if letter.message_id == "unprobed"]
    assert letter.dead_letter_reason == "failed"
    assert letter.dead_letter_error_description == ingestion.reason.text


async def test_a_command_that_waits_for_a_service_is_handed_back_at_the_end(
    app: App, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = read_cosmos(app.environment)
    nowhere = CosmosSettings("http://127.0.0.1:9/", known.key)
    await app.upload("handed-back", song("wav", 0.5))
    with caplog.at_level("WARNING", "ingestion"):
        async with working(app, tmp_path, Sandbox(), nowhere):
            await wait_for_async(lambda: _said(caplog, "a service is away"), "the worker to wait for its store")
    # At once, and not after the minute that the lock would have lasted.
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=60)
        assert (message.message_id, message.delivery_count) == ("handed-back", 1)
        await receiver.complete_message(message)


async def _said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.text


# The SDKs leave the sockets of a broker that was killed to the garbage collector, which is sent for in here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_worker_lives_through_a_restart_of_everything_else(
    start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    cloud = start_localcloud("--blobs")
    async with App(cloud) as app:
        worker = WorkerProcess(app.environment, tmp_path / "worker.log").start()
        try:
            await app.upload("before", song("flac", 0.5))
            await app.settled("before")
            await asyncio.to_thread(cloud.restart)
            await app.upload("after", song("flac", 0.5, pitch=500))
            assert (await app.settled("after", deadline=90)).state == "ready", worker.said
            assert (await app.settled("before")).state == "ready"
            assert worker.stop() == 0
        finally:
            worker.kill()
    gc.collect()
