"""Uploads over HTTP, with the worker, the API and the local cloud killed at random moments: nothing that was accepted
is lost, nothing is said twice."""

import asyncio
import gc
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import httpx
import pytest
from msgspec import Struct

from songline.schemas.commands import derived_id
from songline.schemas.events import SongUploaded
from tests.support import hostile
from tests.support.api import ApiProcess
from tests.support.audio import FORMATS, song
from tests.support.ingestion import App, WorkerProcess, queue_with
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

SEED = 20261122
SONGS = 200
SIDE_BY_SIDE = 6
Victim = Literal["worker", "api", "cloud"]
KILLS: dict[Victim, int] = {"worker": 5, "api": 5, "cloud": 3}
# What a message holds here: songs of half a second go inline or are staged, as their format has it.
INLINE_KB = 40
# Alone it takes a minute and a half in all; beside others on two cores each step may.
DEADLINE = 240.0


class File(Struct):
    """A file, what must become of it, and the ingestion that its 202 named."""

    content: bytes
    outcome: str
    ingestion: str = ""


def files() -> list[File]:
    broken = [case for case in hostile.broken().values() if case.outcome != hostile.READY and case.content]
    made = []
    for number in range(SONGS):
        if number % 5 == 4:
            case = broken[number // 5 % len(broken)]
            made.append(File(case.content, case.outcome))
        else:
            name = list(FORMATS)[number % len(FORMATS)]
            made.append(File(song(name, 0.5, pitch=200 + 10 * number), hostile.READY))
    return made


class System:
    """A local cloud, the API and the ingestion worker, each a process that can be killed and is started again."""

    def __init__(self, folder: Path) -> None:
        # What a killed worker held comes back in seconds, and some songs don't fit.
        queue = queue_with(folder, LockDuration="PT5S", MaxMessageSizeInKilobytes=INLINE_KB)
        self.cloud = LocalCloud(folder / "cloud", ["--blobs", *queue]).start()
        self.worker = WorkerProcess(self.cloud.environment, folder / "worker.log")
        self.api = ApiProcess(self.cloud.environment, folder / "api.log")

    def __enter__(self) -> Self:
        self.worker.start()
        self.api.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.worker.kill()
        self.api.kill()
        self.cloud.stop()

    def strike(self, victim: Victim) -> None:
        match victim:
            case "worker":
                self.worker.kill()
                self.worker.start()
            case "api":
                self.api.kill()
                self.api.start(httpx.URL(self.api.address).port or 0)
            case "cloud":
                self.cloud.restart()

    @property
    def carried_out(self) -> int:
        return self.worker.said.count("INFO ingestion: songline.song.ingest")


class Sender:
    """An app that sends each file until it has its 202, with a key that makes sending again harmless."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._lanes = asyncio.Semaphore(SIDE_BY_SIDE)
        self.accepted = 0

    async def send(self, number: int, file: File) -> None:
        async with self._lanes:
            file.ingestion = await wait_for_async(partial(self.attempt, number, file), f"a 202 for {number}", DEADLINE)
            self.accepted += 1

    async def attempt(self, number: int, file: File) -> str:
        """The ingestion that a 202 names; nothing when the connection is lost, or we shall come again."""
        headers = {"X-User-Id": f"user-{number % 9}", "Idempotency-Key": f"song-{number}"}
        raw: dict[str, Any] = {"content": file.content, "headers": {**headers, "Content-Type": "audio/mpeg"}}
        form: dict[str, Any] = {"files": {"file": file.content}, "headers": headers}
        try:
            answer = await self._http.post("/v1/songs", **(raw if number % 2 else form))
        except httpx.TransportError:
            return ""
        if answer.status_code == 503:
            return ""
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def break_off(self, file: File, strike: Callable[[], None]) -> None:
        """Send a file whose second half comes only when the API has been struck: it was on its way in."""
        halfway = asyncio.Event()
        struck = asyncio.Event()

        async def content() -> AsyncIterator[bytes]:
            middle = len(file.content) // 2
            yield file.content[:middle]
            halfway.set()
            await struck.wait()
            yield file.content[middle:]

        upload = asyncio.create_task(self._http.post("/v1/songs", content=content(), headers={"X-User-Id": "user-1"}))
        await halfway.wait()
        await asyncio.to_thread(strike)
        struck.set()
        with pytest.raises(httpx.TransportError):
            await upload


# The SDKs leave the sockets of a broker that was killed to the garbage collector, which is sent for in here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(600)
async def test_every_accepted_upload_ends_truly_whatever_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    sent = files()
    with System(tmp_path) as system:
        async with App(system.cloud) as app, system.api.client(timeout=30) as http:
            sender = Sender(http)
            sending = [asyncio.create_task(sender.send(number, file)) for number, file in enumerate(sent)]
            for victim, progress in strikes(chance):
                reached = partial(_reached, system, sender, progress)
                await wait_for_async(reached, f"{progress} steps of {2 * SONGS}", DEADLINE)
                if victim == "api":
                    await sender.break_off(sent[chance.randrange(SONGS)], partial(system.strike, victim))
                    continue
                await wait_for_async(partial(_busy, system, sender), "the worker to have something to do", DEADLINE)
                # In the middle of its work, wherever that is.
                await asyncio.sleep(chance.uniform(0, 0.1))
                await asyncio.to_thread(system.strike, victim)
            await asyncio.gather(*sending)
            left = {file.ingestion for file in sent}
            assert len(left) == SONGS
            await wait_for_async(partial(_settled, app, left), "every upload to be settled", DEADLINE)
            again = range(0, SONGS, 10)
            assert [await sender.attempt(number, sent[number]) for number in again] == [
                sent[number].ingestion for number in again
            ]
            attempts = await check(app, sent)
        assert system.worker.stop() == 0
    assert attempts > SONGS, "no kill met a song in the middle: this run has shown nothing"
    gc.collect()


def strikes(chance: random.Random) -> list[tuple[Victim, int]]:
    """Who is killed, and after how many steps; an upload is two, accepted and carried out."""
    victims = [victim for victim, times in KILLS.items() for _ in range(times)]
    chance.shuffle(victims)
    moments = sorted(chance.sample(range(4, 2 * SONGS - 10), len(victims)))
    return list(zip(victims, moments, strict=True))


async def check(app: App, sent: list[File]) -> int:
    """Every file has its true outcome, its bytes and its one event; how often a worker took one up."""
    attempts = sum(await asyncio.gather(*(one(app, file) for file in sent)))
    told = Counter(event.id for event in await app.events() if isinstance(event.data, SongUploaded))
    ready = {file.ingestion for file in sent if file.outcome == hostile.READY}
    # Published again after a crash it is the same event, which readers count once.
    assert set(told) == {derived_id("song-uploaded", ingestion) for ingestion in ready}
    assert await app.dead_letters() == []
    return attempts


async def one(app: App, file: File) -> int:
    ingestion = await app.ingestions.read(file.ingestion)
    assert ingestion is not None
    assert (ingestion.reason.cause if ingestion.reason else ingestion.state) == file.outcome
    stored = await app.song(hashlib.sha256(file.content).hexdigest())
    assert stored == (file.content if file.outcome == hostile.READY else None)
    return ingestion.attempts


async def _reached(system: System, sender: Sender, progress: int) -> bool:
    return sender.accepted + system.carried_out >= progress


async def _busy(system: System, sender: Sender) -> bool:
    # What a kill had repeated counts twice in `carried_out`; when all is accepted there is nothing more to wait for.
    return sender.accepted > system.carried_out or sender.accepted == SONGS


async def _settled(app: App, left: set[str]) -> bool:
    for name in list(left):
        found = await app.ingestions.read(name)
        if found is not None and found.settled and not found.outbox:
            left.remove(name)
    return not left
