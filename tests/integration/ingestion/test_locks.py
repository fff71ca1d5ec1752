"""One hand at a time, and no delivery used up: storage that is away for longer than a lock, a broker that does not
renew, a clock that is wrong. Locks last LOCK_S seconds here."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from azure.servicebus._common import message as sdk_message

from songline.cloud import eventhubs, servicebus
from songline.cloud.clock import measure_skew_s
from songline.cloud.settings import read_cosmos, read_eventhubs, read_servicebus
from songline.processors.ingestion.audio.sandbox import Sandbox
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.clock_skew import ClockSkew
from songline.processors.ingestion.command_receiver import ReceiverConfig
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.event_sender import EventSender
from songline.processors.ingestion.worker import RETRIES, IngestionWorker
from songline.schemas.channels import MUSIC_EVENTS, SONG_COMMANDS
from songline.schemas.progress_report import NotReadyCause
from tests.support import process
from tests.support.audio import song
from tests.support.ingestion import App, queue_with
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

LOCK_S = 16
"""Two renewals that are cut off, and another receiver, take six seconds, and more on a busy machine."""

AHEAD_S = LOCK_S + 12
"""A clock that is so far ahead or behind makes a held lock look ended, or an ended one held."""

AWAY = {"service": "cosmos", "entity": "songline/ingestions", "kind": "throttle"}
UNRENEWED = {"service": "servicebus", "entity": f"{SONG_COMMANDS}/$management", "operation": "request", "kind": "drop"}
PACE = ReceiverConfig(lanes=2, wait=0.5, longest_pause=0.3, stall=1, grace=1)

# The SDK leaves the sockets of connections that were cut to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def song_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("locks")
    cloud = LocalCloud(folder / "cloud", ["--blobs", *queue_with(folder, LockDuration=f"PT{LOCK_S}S")]).start()
    yield cloud
    cloud.stop()


class Machine:
    """The machine's clock: by how much it is ahead for the product, and for the SDK."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.sdk_ahead = timedelta(0)

    def set(self, seconds: float) -> None:
        self.ahead = self.sdk_ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sdk_now(self) -> datetime:
        return datetime.now(UTC) + self.sdk_ahead


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(sdk_message, "utc_now", machine.sdk_now)
    return machine


@asynccontextmanager
async def working(app: App, folder: Path, machine: Machine) -> AsyncIterator[IngestionWorker]:
    stop = asyncio.Event()
    async with (
        servicebus.client(read_servicebus(app.environment), retry_total=RETRIES) as bus,
        eventhubs.producer(read_eventhubs(app.environment), MUSIC_EVENTS) as producer,
    ):
        audio = AudioStore(app.blobs)
        work = CommandRunner(app.ingestions, app.catalog, audio, EventSender(producer), Sandbox(), folder, machine.now)
        account = read_cosmos(app.environment)
        clock = ClockSkew(lambda: measure_skew_s(account, machine.now), machine.now, asyncio.get_running_loop().time)
        worker = IngestionWorker(bus, work, PACE, clock, machine.now)
        running = asyncio.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await running


async def deliveries(app: App, message_id: str) -> int | None:
    """How often the message was given back, None if it is not in the queue."""
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        async for message in servicebus.peeked(receiver, 20):
            if message.message_id == message_id:
                return message.delivery_count or 0
    return None


async def holds(app: App, worker: IngestionWorker, message_id: str, seconds: float) -> None:
    """For so long the message is in one hand, at its first delivery."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        assert await deliveries(app, message_id) == 0
        assert sum(lane.taken is not None for lane in worker.lanes) == 1
        await asyncio.sleep(0.2)


async def taken(worker: IngestionWorker) -> bool:
    return any(lane.taken is not None for lane in worker.lanes)


async def caused(worker: IngestionWorker, cause: NotReadyCause) -> bool:
    return cause in {reason.cause for reason in worker.reasons()}


async def ready(worker: IngestionWorker) -> bool:
    return worker.reasons() == []


async def done(app: App, message_id: str) -> None:
    assert (await app.settled(message_id)).state == "ready"

    async def gone() -> bool:
        return await deliveries(app, message_id) is None

    await wait_for_async(gone, "the command to be settled")
    assert message_id not in {letter.message_id for letter in await app.dead_letters()}


async def test_a_command_is_in_one_hand_however_long_storage_is_away_and_whatever_the_clock_says(
    app: App, song_cloud: LocalCloud, tmp_path: Path, machine: Machine
) -> None:
    async with working(app, tmp_path, machine) as worker:
        # The SDK would renew when the broker has ended the lock long ago.
        machine.set(-AHEAD_S)
        with song_cloud.faults(AWAY):
            await app.upload("long", song("wav", 0.2))
            await wait_for_async(lambda: taken(worker), "the command to be taken")
            # More than the SDK tries by itself: it gives its receiver up, and the lock is kept over another.
            song_cloud.control("PUT", "/faults", [AWAY, {**UNRENEWED, "count": 2}])
            await wait_for_async(lambda: struck(song_cloud, 2), "the renewals to fail")
            await holds(app, worker, "long", LOCK_S)
            assert await caused(worker, NotReadyCause.SERVICE_AWAY)
            # The broker says otherwise, so the command is kept until the clock is set.
            machine.sdk_ahead = timedelta(seconds=AHEAD_S)
        await wait_for_async(lambda: caused(worker, NotReadyCause.CLOCK_AHEAD), "the reason")
        await holds(app, worker, "long", 1)
        machine.set(0)
        await done(app, "long")
        assert (await app.settled("long")).attempts == 1
        await wait_for_async(lambda: ready(worker), "the worker to be ready")


async def test_a_command_whose_lock_is_lost_makes_no_document(
    app: App, song_cloud: LocalCloud, tmp_path: Path, machine: Machine
) -> None:
    """It may have been carried out long ago, and its uploader erased since. Here it comes a second time at once."""
    again = {"service": "servicebus", "operation": "receive", "kind": "duplicate", "count": 1}
    async with working(app, tmp_path, machine):
        with song_cloud.faults(again) as fired:
            await app.upload("twice", song("wav", 0.2))
            await done(app, "twice")
            assert fired() == [1]
    assert (await app.settled("twice")).attempts == 1


async def struck(cloud: LocalCloud, times: int) -> bool:
    return bool(cloud.control("GET", "/faults")[1]["fired"] == times)


async def test_a_clock_that_jumps_ahead_stops_the_taking_until_it_is_set(
    app: App, tmp_path: Path, machine: Machine
) -> None:
    async with working(app, tmp_path, machine) as worker:
        await app.upload("before-the-jump", song("wav", 0.2))
        await done(app, "before-the-jump")
        machine.set(AHEAD_S)
        await wait_for_async(lambda: caused(worker, NotReadyCause.CLOCK_AHEAD), "the reason")
        await asyncio.sleep(2 * PACE.wait)
        await app.upload("ahead", song("wav", 0.2))
        await asyncio.sleep(2 * PACE.wait)
        assert await deliveries(app, "ahead") == 0
        assert not await taken(worker)
        (reason,) = worker.reasons()
        found = re.search(r"clock is (\d+) s ahead", reason.sentence)
        assert found is not None
        assert AHEAD_S - 1 <= int(found[1]) <= AHEAD_S + 9
        assert reason.mend
        machine.set(0)
        await done(app, "ahead")
        await wait_for_async(lambda: ready(worker), "the worker to be ready")


async def test_a_worker_whose_clock_is_a_minute_ahead_says_so_and_takes_nothing(
    app: App, song_cloud: LocalCloud, tmp_path: Path
) -> None:
    environment = {**app.environment, "CLOCK_AHEAD_S": "61"}
    worker = process.WorkerProcess("tests.support.shifted_clock", environment, tmp_path / "worker.log").start()
    try:
        await app.upload("shifted", song("wav", 0.2))

        async def served() -> str:
            found = re.search(r"health is served on (http://\S+:\d+)", worker.said)
            return found[1] if found else ""

        base = await wait_for_async(served, "the worker's health")
        async with httpx.AsyncClient(base_url=base, timeout=60) as http:

            async def told() -> str:
                try:
                    answer = await http.get("/health/ready")
                except httpx.TransportError:
                    return ""
                return answer.text if answer.status_code == 503 and "clock" in answer.text else ""

            # To a second, and on a busy machine to a few.
            assert re.search(r"[56]\d s ahead", await wait_for_async(told, "the reason"))
            report = (await http.get("/health/progress")).json()
            assert NotReadyCause.CLOCK_AHEAD in {reason["cause"] for reason in report["reasons"]}
        await asyncio.sleep(1)
        assert await deliveries(app, "shifted") == 0
        assert worker.stop() == 0
    finally:
        worker.kill()
