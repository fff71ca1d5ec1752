"""What fell between two steps is found and mended. Time is the test's."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from msgspec import structs

from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import read_eventhubs
from songline.processors.ingestion.audio.probe import ProbedAudio
from songline.processors.ingestion.audio.sandbox import Sandbox
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.erasure import erase_bytes
from songline.processors.ingestion.event_sender import EventSender
from songline.processors.ingestion.reconciler import Reconciler, ReconcilerConfig, ReconcilerCounts
from songline.processors.ingestion.transitions import begin, decide
from songline.schemas.channels import DATABASE, INGESTIONS, MUSIC_EVENTS, SONG_COMMANDS, UPLOAD_BLOBS
from songline.schemas.commands import PROPERTY, Command, IngestSong, Metadata, RemoveSong, Upload, derived_id, encode
from songline.schemas.ingestions import Ingestion, State
from tests.support.audio import song
from tests.support.ingestion import App

FOUND = ProbedAudio(format="wav", content_type="audio/wav", duration_ms=500, metadata=Metadata(title="Dusk"))


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Bench:
    """A reconciler, and the worker's hands, under one clock."""

    def __init__(self, app: App, outgoing: EventSender, folder: Path) -> None:
        self.app = app
        self.clock = Clock()
        self.audio = AudioStore(app.blobs)
        self.work = CommandRunner(app.ingestions, app.catalog, self.audio, outgoing, Sandbox(), folder, self.clock)
        self.reconciler = Reconciler(app.bus, app.ingestions, self.audio, self.work, self.clock, ReconcilerConfig())

    async def after(self, **ahead: int) -> ReconcilerCounts:
        """One round, so much later."""
        self.clock.ahead = timedelta(**ahead)
        try:
            return await self.reconciler.round()
        finally:
            self.clock.ahead = timedelta(0)

    async def put(self, ingestion_id: str, state: State) -> Ingestion:
        """A document as the API or a worker leaves it."""
        now = self.clock()
        upload = Upload(sha256="cd" * 32, size=5, content_type="audio/wav")
        document = Ingestion(
            id=ingestion_id, user_id="user-7", state=state, received_at=now, updated_at=now, upload=upload
        )
        return await self.app.ingestions.change(ingestion_id, lambda known: known or document)

    async def get(self, ingestion_id: str) -> Ingestion:
        found = await self.app.ingestions.read(ingestion_id)
        assert found is not None
        return found


@pytest.fixture
async def bench(app: App, tmp_path: Path) -> AsyncIterator[Bench]:
    async with eventhubs.producer(read_eventhubs(app.environment), MUSIC_EVENTS) as producer:
        yield Bench(app, EventSender(producer), tmp_path)


def order(ingestion_id: str, content: bytes = b"12345", blob: str | None = None) -> Command:
    sha256 = hashlib.sha256(content).hexdigest()
    upload = Upload(sha256=sha256, size=len(content), content_type="audio/wav", blob=blob)
    data = IngestSong(user_id="user-7", upload=upload)
    return Command(id=ingestion_id, source="/tests", time=datetime.now(UTC), data=data)


async def test_an_event_that_stayed_in_the_outbox_is_published_once(bench: Bench) -> None:
    command = order("left")
    now = bench.clock()
    await bench.app.ingestions.change("left", lambda _: decide(begin(None, command, now), command, FOUND, now))
    assert (await bench.after()).published == 0
    assert (await bench.after(minutes=2)).published == 1
    assert (await bench.after(minutes=4)).published == 0
    assert (await bench.get("left")).outbox == ()
    events = [event.id for event in await bench.app.events() if event.data.song_id == "left"]
    assert events == [derived_id("song-uploaded", "left")]


async def test_an_upload_that_was_never_finished_is_given_up_and_its_file_goes(bench: Bench) -> None:
    await bench.put("half", "received")
    await bench.app.blobs.get_blob_client(UPLOAD_BLOBS, "half").upload_blob(b"half of it")
    await bench.after(minutes=30)
    assert (await bench.get("half")).state == "received"
    await bench.after(hours=2)
    given_up = await bench.get("half")
    assert given_up.reason is not None
    assert (given_up.state, given_up.reason.cause) == ("rejected", "unfinished")
    assert "half" in await bench.app.staged()
    await bench.after(days=3)
    assert "half" not in await bench.app.staged()


async def test_a_file_is_kept_for_as_long_as_its_command_may_come(bench: Bench) -> None:
    await bench.put("patient", "queued")
    await bench.app.blobs.get_blob_client(UPLOAD_BLOBS, "patient").upload_blob(b"all of it")
    await bench.app.blobs.get_blob_client(UPLOAD_BLOBS, "nobodys").upload_blob(b"of nobody")
    await bench.after(days=3)
    staged = await bench.app.staged()
    assert "patient" in staged
    assert "nobodys" not in staged
    # What is nowhere is dead, and not for good.
    lost = await bench.get("patient")
    assert lost.state == "dead"
    assert "72 hours" in (lost.reason.text if lost.reason else "")
    revived = begin(lost, order_like(lost), bench.clock())
    assert revived.state == "processing"


def order_like(ingestion: Ingestion) -> Command:
    data = IngestSong(user_id=ingestion.user_id, upload=ingestion.upload)
    return Command(id=ingestion.id, source="/tests", time=datetime.now(UTC), data=data)


async def test_what_others_wrote_beside_keeps_nothing_from_being_mended(bench: Bench) -> None:
    container = cosmos.container(bench.app.cosmos, DATABASE, INGESTIONS)
    broken = {"id": "broken", "state": "queued", "updatedAt": "2026-01-01T00:00:00Z", "outbox": [{"id": "x"}]}
    await container.upsert_item(broken)
    for name in ("broken", "a name/of ours, not", "zuletzt-ö"):
        await bench.app.blobs.get_blob_client(UPLOAD_BLOBS, name).upload_blob(b"x", overwrite=True)
    await bench.put("beside", "received")
    tally = await bench.after(hours=2)
    assert tally.overdue >= 1
    assert (await bench.get("beside")).state == "rejected"
    await bench.after(days=3)
    # Whether somebody needs the file of a document that can't be read is not known.
    assert set(await bench.app.staged()) & {"broken", "a name/of ours, not", "zuletzt-ö"} == {"broken"}
    await container.delete_item("broken", "broken")


async def test_a_command_among_the_dead_letters_is_shown_as_dead_with_its_reason(bench: Bench) -> None:
    command = order("unlucky")
    await bench.app.ingestions.change("unlucky", lambda known: begin(known, command, bench.clock()))
    message = ServiceBusMessage(
        b"12345", message_id="unlucky", application_properties={PROPERTY: encode(command).decode()}
    )
    async with bench.app.bus.get_queue_sender(SONG_COMMANDS) as sender:
        await sender.send_messages(message)
    async with bench.app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        (received,) = await receiver.receive_messages(1, max_wait_time=60)
        await receiver.dead_letter_message(received, reason="failed", error_description="The disk burned.")
    await bench.after(seconds=30)
    assert (await bench.get("unlucky")).state == "processing"
    assert (await bench.after(minutes=5)).dead == 1
    dead = await bench.get("unlucky")
    assert dead.reason is not None
    assert (dead.state, dead.reason.text) == ("dead", "The disk burned.")


async def test_the_bytes_of_a_song_go_with_its_last_owner_and_not_while_somebody_keeps_them(bench: Bench) -> None:
    content = song("wav", 0.5, pitch=123)
    sha256 = hashlib.sha256(content).hexdigest()
    for name in ("mine", "yours"):
        await bench.work.carry_out(order(name, content), [content])
    await take_away(bench, "mine")
    await bench.after(hours=2)
    assert await bench.app.song(sha256) == content
    assert (await bench.get("mine")).erased_at is not None
    await take_away(bench, "yours")
    await bench.after(minutes=30)
    assert await bench.app.song(sha256) == content
    assert (await bench.after(hours=2)).erased == 1
    assert await bench.app.song(sha256) is None
    await bench.work.carry_out(order("again", content), [content])
    assert await bench.app.song(sha256) == content


async def test_bytes_that_were_just_kept_again_are_not_erased(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "song"
    path.write_bytes(b"12345")
    before = datetime.now(UTC) - timedelta(seconds=2)
    await bench.audio.keep("ef" * 32, path, "audio/wav", None)
    found = await bench.audio.find("ef" * 32)
    assert found is not None
    assert await erase_bytes(bench.app.ingestions, bench.audio, "ef" * 32, before) == "busy"
    await bench.audio.keep("ef" * 32, path, "audio/wav", None)
    assert not await bench.audio.delete(found)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert await erase_bytes(bench.app.ingestions, bench.audio, "ef" * 32, later) == "erased"
    assert await erase_bytes(bench.app.ingestions, bench.audio, "ef" * 32, before) == "absent"


async def take_away(bench: Bench, song_id: str) -> None:
    data = RemoveSong(user_id="user-7", song_id=song_id)
    command = Command(id=f"remove-{song_id}", source="/tests", time=datetime.now(UTC), data=data)
    taken = await bench.work.carry_out(command, [])
    assert taken is not None
    assert taken.removed_at is not None


async def test_changes_side_by_side_are_all_made(bench: Bench) -> None:
    await bench.put("busy", "processing")

    def once_more(known: Ingestion | None) -> Ingestion:
        assert known is not None
        return structs.replace(known, attempts=known.attempts + 1)

    await asyncio.gather(*(bench.app.ingestions.change("busy", once_more) for _ in range(10)))
    assert (await bench.get("busy")).attempts == 10
