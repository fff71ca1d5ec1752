"""A worker that was stopped for long, and goes on after others have carried out what it had begun."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.eventhub.aio import EventHubProducerClient
from azure.servicebus.exceptions import MessageLockLostError

from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import read_eventhubs
from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio
from songline.processors.ingestion.audio.sandbox import Sandbox
from songline.processors.ingestion.audio_store import AudioStore, StagedDownload
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.erasure import erase_bytes, erase_removed
from songline.processors.ingestion.event_sender import EventSender
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.schemas.channels import DATABASE, INGESTIONS, MUSIC_EVENTS
from songline.schemas.commands import Command, IngestSong, RemoveSong, Upload
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.ingestions import Ingestion
from songline.schemas.songs import Song
from tests.support.audio import song
from tests.support.gate import Gate
from tests.support.ingestion import App
from tests.support.late_producer import LateProducer

USER = "user-7"
SLEPT = timedelta(hours=1)


class LateSandbox(Sandbox):
    """Its probes give an answer once a gate is open."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def probe(self, path: Path) -> ProbedAudio | RefusedAudio:
        found = await super().probe(path)
        await self._gate.enter()
        return found


class LateAudioStore(AudioStore):
    """It says that it has stored something once a gate is open."""

    def __init__(self, app: App, gate: Gate) -> None:
        super().__init__(app.blobs)
        self._gate = gate

    async def keep(self, sha256: str, path: Path, content_type: str, staged: StagedDownload | None) -> None:
        await super().keep(sha256, path, content_type, staged)
        await self._gate.enter()


class LateIngestions(IngestionStore):
    """It says who holds bytes once a gate is open."""

    def __init__(self, app: App, gate: Gate) -> None:
        super().__init__(cosmos.container(app.cosmos, DATABASE, INGESTIONS))
        self._gate = gate

    async def holding(self, sha256: str) -> set[str]:
        found = await super().holding(sha256)
        await self._gate.enter()
        return found


class Workers:
    """One that is stopped while it waits for the hub, a probe or Blob Storage, and one that goes on in its place."""

    def __init__(self, app: App, producer: EventHubProducerClient, folder: Path) -> None:
        self.slept = timedelta()
        self.hub, self.probe, self.kept = Gate(), Gate(), Gate()
        late = LateAudioStore(app, self.kept)
        self.stopped = self._runner(app, LateProducer(producer, self.hub), LateSandbox(self.probe), folder, late)
        self.other = self._runner(app, producer, Sandbox(), folder, AudioStore(app.blobs))

    def _runner(
        self, app: App, hub: EventHubProducerClient, sandbox: Sandbox, folder: Path, audio: AudioStore
    ) -> CommandRunner:
        return CommandRunner(app.ingestions, app.catalog, audio, EventSender(hub), sandbox, folder, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.slept

    async def stop_at(self, gate: Gate, command: Command, content: bytes) -> "asyncio.Task[Ingestion | None]":
        """Have the worker carry out a command until it waits at the gate."""
        gate.open.clear()
        working = asyncio.create_task(self.stopped.carry_out(command, [content]))
        await asyncio.wait_for(gate.asked.wait(), 60)
        self.slept = SLEPT
        return working


@pytest.fixture
async def workers(app: App, tmp_path: Path) -> AsyncIterator[Workers]:
    async with eventhubs.producer(read_eventhubs(app.environment), MUSIC_EVENTS) as producer:
        yield Workers(app, producer, tmp_path)


def ingest(ingestion_id: str, content: bytes) -> Command:
    upload = Upload(sha256=hashlib.sha256(content).hexdigest(), size=len(content), content_type="audio/wav")
    data = IngestSong(user_id=USER, upload=upload)
    return Command(id=ingestion_id, source="/tests", time=datetime.now(UTC), data=data)


async def lost() -> None:
    """The question of who has lost the lock of the message."""
    raise MessageLockLostError(message="for a test")


def sha256_of(command: Command) -> str:
    assert isinstance(command.data, IngestSong)
    return command.data.upload.sha256


def remove(song_id: str) -> Command:
    data = RemoveSong(user_id=USER, song_id=song_id)
    return Command(id=f"remove-{song_id}", source="/tests", time=datetime.now(UTC), data=data)


async def told(app: App, song_id: str) -> list[type]:
    """What the hub was told of a song, in order."""
    return [type(event.data) for event in await app.events() if getattr(event.data, "song_id", "") == song_id]


async def test_a_song_that_was_removed_meanwhile_is_not_announced(app: App, workers: Workers) -> None:
    """Its upload would be the last word about it, and its bytes are gone an hour later."""
    content = song("wav", 0.2, pitch=310)
    command = ingest("announced-late", content)
    working = await workers.stop_at(workers.hub, command, content)
    await workers.other.carry_out(command, [content])
    await workers.other.carry_out(remove(command.id), [])
    workers.hub.open.set()
    done = await working
    assert done is not None
    assert done.removed_at is not None, "it is told of the song as it is"
    assert await told(app, command.id) == [SongUploaded, SongRemoved]


async def test_what_nobody_has_published_meanwhile_is_published(app: App, workers: Workers) -> None:
    content = song("wav", 0.2, pitch=320)
    command = ingest("announced-alone", content)
    working = await workers.stop_at(workers.hub, command, content)
    workers.hub.open.set()
    done = await working
    assert done is not None
    assert (done.state, done.outbox) == ("ready", ())
    assert await told(app, command.id) == [SongUploaded]


@pytest.mark.parametrize("place", ["hub", "probe"])
async def test_an_upload_whose_uploader_was_erased_meanwhile_does_not_come_back(
    app: App, workers: Workers, place: str
) -> None:
    """Their document has gone."""
    content = song("wav", 0.2, pitch=330 + len(place))
    command = ingest(f"erased-at-{place}", content)
    gate = workers.hub if place == "hub" else workers.probe
    working = await workers.stop_at(gate, command, content)
    await cosmos.container(app.cosmos, DATABASE, INGESTIONS).delete_item(command.id, command.id)
    gate.open.set()
    assert await working is None
    assert await app.ingestions.read(command.id) is None
    assert await told(app, command.id) == []
    if place == "probe":
        assert await app.song(sha256_of(command)) is None, "their bytes are not there again either"


@pytest.mark.parametrize("what", ["begun", "given up"])
async def test_a_command_that_is_another_workers_makes_no_document(app: App, workers: Workers, what: str) -> None:
    """That of an upload which never became a song has gone with its uploader, before this worker had begun."""
    content = song("wav", 0.2, pitch=340)
    command = ingest(f"erased-before-it-is-{what.replace(' ', '-')}", content)
    with pytest.raises(MessageLockLostError):
        if what == "begun":
            await workers.stopped.carry_out(command, [content], lost)
        else:
            await workers.stopped.give_up(command, "It failed.", lost)
    assert await app.ingestions.read(command.id) is None
    assert await told(app, command.id) == []
    done = await workers.other.carry_out(command, [content])
    assert done is not None
    # One that is there is changed without a question.
    assert await workers.stopped.carry_out(command, [content], lost) == done


async def test_a_song_of_the_catalog_is_not_removed_by_a_command_that_is_another_workers(
    app: App, workers: Workers
) -> None:
    """It was removed, and announced again, while this worker waited for the hub."""
    known = Song(
        id="announced-again", user_id=USER, title="T", artist="A", duration_ms=1_000, uploaded_at=datetime.now(UTC)
    )
    await app.announce(known)
    workers.hub.open.clear()
    held = asyncio.Event()

    async def check() -> None:
        if held.is_set():
            await lost()

    working = asyncio.create_task(workers.stopped.carry_out(remove(known.id), [], check))
    await asyncio.wait_for(workers.hub.asked.wait(), 60)
    await workers.other.carry_out(remove(known.id), [])
    held.set()
    workers.hub.open.set()
    with pytest.raises(MessageLockLostError):
        await working
    assert await told(app, known.id) == [SongRemoved]


async def test_the_bytes_that_an_upload_has_stored_are_not_erased_with_those_of_a_song(
    app: App, workers: Workers
) -> None:
    """It is not ready yet, so that no song has them."""
    content = song("wav", 0.2, pitch=350)
    first, second = ingest("bytes-removed", content), ingest("bytes-needed", content)
    await workers.other.carry_out(first, [content])
    await workers.other.carry_out(remove(first.id), [])
    working = await workers.stop_at(workers.kept, second, content)
    audio = AudioStore(app.blobs)
    workers.slept += timedelta(days=1)
    await erase_removed(app.ingestions, audio, workers.now(), timedelta(hours=1))
    assert await erase_bytes(app.ingestions, audio, sha256_of(second)) == "busy"
    removed = await app.ingestions.read(first.id)
    assert removed is not None
    assert removed.erased_at is None, "it is looked at again"
    workers.kept.open.set()
    done = await working
    assert done is not None
    assert done.state == "ready"
    assert await app.song(sha256_of(second)) == content
    assert await erase_bytes(app.ingestions, audio, sha256_of(second)) == "shared"
    await erase_removed(app.ingestions, audio, workers.now(), timedelta(hours=1))
    removed = await app.ingestions.read(first.id)
    assert removed is not None
    assert removed.erased_at is not None, "it is not looked at again"


async def test_bytes_that_were_erased_before_their_song_was_ready_are_stored_again(app: App, workers: Workers) -> None:
    """The ingestion was dead meanwhile, and nobody else had them."""
    content = song("wav", 0.2, pitch=351)
    command = ingest("bytes-erased", content)
    working = await workers.stop_at(workers.kept, command, content)
    await workers.other.give_up(command, "It failed.")
    assert await erase_bytes(app.ingestions, AudioStore(app.blobs), sha256_of(command)) == "erased"
    workers.kept.open.set()
    done = await working
    assert done is not None
    assert done.state == "ready"
    assert await app.song(sha256_of(command)) == content


async def test_a_song_whose_worker_died_before_it_looked_for_the_bytes_has_them(app: App, workers: Workers) -> None:
    content = song("wav", 0.2, pitch=352)
    command = ingest("bytes-looked-for", content)
    await workers.other.carry_out(command, [content])
    found = await AudioStore(app.blobs).find(sha256_of(command))
    assert found is not None
    assert await AudioStore(app.blobs).delete(found)
    await workers.other.carry_out(command, [content])
    assert await app.song(sha256_of(command)) == content


async def test_bytes_that_were_stored_since_they_were_looked_at_are_not_erased(app: App, workers: Workers) -> None:
    """Who erases them is stopped, after it has asked who needs them."""
    content = song("wav", 0.2, pitch=353)
    first, second = ingest("bytes-old", content), ingest("bytes-new", content)
    await workers.other.carry_out(first, [content])
    await workers.other.carry_out(remove(first.id), [])
    asked = Gate()
    asked.open.clear()
    erasing = asyncio.create_task(
        erase_bytes(LateIngestions(app, asked), AudioStore(app.blobs), sha256_of(first), workers.now() + SLEPT)
    )
    await asyncio.wait_for(asked.asked.wait(), 60)
    await workers.other.carry_out(second, [content])
    asked.open.set()
    assert await erasing == "busy"
    assert await app.song(sha256_of(second)) == content
