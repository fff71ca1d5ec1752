"""Uploads, with the worker and the local cloud killed at random moments: nothing is lost, nothing is said twice."""

import asyncio
import gc
import hashlib
import json
import random
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.servicebus.exceptions import ServiceBusError

from schemas.channels import SONG_COMMANDS
from schemas.commands import derived_id
from schemas.events import SongUploaded
from tests.support import hostile
from tests.support.audio import FORMATS, song
from tests.support.ingestion import App, WorkerProcess
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

PRODUCT = sorted((Path(__file__).parents[2] / "infra" / "emulators" / "servicebus").glob("*.json"))
SONGS = 40
KILLS = 4
SEED = 20261122


def files() -> dict[str, tuple[bytes, str]]:
    """By id: the content and what must become of it."""
    broken = [case for case in hostile.broken().values() if case.outcome != hostile.READY]
    sent = {}
    for number in range(SONGS):
        name = f"chaos-{number}"
        if number % 5 == 4:
            case = broken[number % len(broken)]
            sent[name] = (case.content, case.outcome)
        else:
            format_name = list(FORMATS)[number % len(FORMATS)]
            sent[name] = (song(format_name, 0.5, pitch=200 + 10 * number), hostile.READY)
    return sent


def short_locks(folder: Path) -> list[str]:
    """The product's queue, but for its locks: what a killed worker held comes back in seconds, not after a minute."""
    queue = {"Name": SONG_COMMANDS, "Properties": {"LockDuration": "PT5S"}}
    overlay = folder / "locks.json"
    overlay.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": [queue]}]}}))
    return [part for file in (*PRODUCT, overlay) for part in ("--servicebus-config", str(file))]


async def accepted(app: App, name: str, content: bytes, inline: bool) -> None:
    """Sent, and sent again until the broker has it: what an app does that has no answer."""
    while True:
        try:
            await app.upload(name, content, inline=inline)
        except (AzureError, ServiceBusError, OSError):
            await asyncio.sleep(0.2)
        else:
            return


# The SDKs leave the sockets of a broker that was killed to the garbage collector, which is sent for in here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_every_accepted_upload_ends_truly_whatever_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    cloud = LocalCloud(tmp_path / "cloud", ["--blobs", *short_locks(tmp_path)]).start()
    worker = WorkerProcess({}, tmp_path / "worker.log")
    try:
        sent = files()
        async with App(cloud) as app:
            worker = WorkerProcess(app.environment, tmp_path / "worker.log").start()
            sending = asyncio.create_task(_send_all(app, sent))
            for turn in range(KILLS):
                # In the middle of its work, wherever that is.
                seen = worker.said.count("INFO ingestion:") + chance.randint(1, 4)
                await wait_for_async(partial(_at_work, worker, seen), "the worker to work", deadline=60)
                await asyncio.sleep(chance.uniform(0, 0.3))
                worker.kill()
                if turn % 2:
                    await asyncio.to_thread(cloud.restart)
                worker.start()
            await sending
            await wait_for_async(lambda: _all_settled(app, sent), "every upload to be settled", deadline=150)
            attempts = 0
            for name, (content, outcome) in sent.items():
                ingestion = await app.settled(name)
                attempts += ingestion.attempts
                assert (ingestion.reason.cause if ingestion.reason else ingestion.state) == outcome, name
                stored = await app.song(hashlib.sha256(content).hexdigest())
                assert stored == (content if outcome == hostile.READY else None)
            assert attempts > SONGS, "no kill met a song in the middle: this run has shown nothing"
            told = Counter(event.id for event in await app.events() if isinstance(event.data, SongUploaded))
            ready = {name for name, (_, outcome) in sent.items() if outcome == hostile.READY}
            assert set(told) == {derived_id("song-uploaded", name) for name in ready}
            assert await app.dead_letters() == []
            assert worker.stop() == 0
    finally:
        worker.kill()
        cloud.stop()
        gc.collect()


async def _at_work(worker: WorkerProcess, lines: int) -> bool:
    return worker.said.count("INFO ingestion:") >= lines


async def _send_all(app: App, sent: dict[str, tuple[bytes, str]]) -> None:
    for number, (name, (content, _)) in enumerate(sent.items()):
        await accepted(app, name, content, inline=number % 2 == 0)


async def _all_settled(app: App, sent: dict[str, tuple[bytes, str]]) -> bool:
    for name in sent:
        found = await app.ingestions.read(name)
        if found is None or not found.settled or found.outbox:
            return False
    return True
