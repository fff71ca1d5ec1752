"""Songs in, over Service Bus, Blob Storage, Cosmos DB and Event Hubs, by the worker as it runs."""

import hashlib
from datetime import UTC, datetime

import pytest
from azure.servicebus import ServiceBusMessage

from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import derived_id
from songline.schemas.events import SongRemoved, SongUploaded
from tests.support import hostile
from tests.support.audio import FORMATS, song
from tests.support.ingestion import App, WorkerProcess
from tests.support.waiting import wait_for_async

TAGS = {"title": "Paper Lanterns", "artist": "Nova Reed", "album": "Dusk", "genre": "Indie"}


async def test_a_song_of_every_format_gets_in_inline_and_by_claim_check(app: App, worker: WorkerProcess) -> None:
    sent = {}
    for number, name in enumerate(FORMATS):
        content = song(name, 1.0, pitch=300 + number, tags=TAGS)
        sent[f"way-{name}"] = content
        await app.upload(f"way-{name}", content, inline=number % 2 == 0, name=f"file.{name}")
    for ingestion_id, content in sent.items():
        ingestion = await app.settled(ingestion_id)
        assert (ingestion.state, ingestion.song_id) == ("ready", ingestion_id), worker.said
        assert ingestion.audio is not None
        assert (ingestion.audio.title, ingestion.audio.genre) == ("Paper Lanterns", "indie")
        assert await app.song(hashlib.sha256(content).hexdigest()) == content
    uploaded = [event for event in await app.events() if isinstance(event.data, SongUploaded)]
    ids = [event.id for event in uploaded if event.data.song_id in sent]
    assert sorted(ids) == sorted(derived_id("song-uploaded", ingestion_id) for ingestion_id in sent)
    await wait_for_async(lambda: _none(app.staged()), "the staged files to go")


async def test_files_that_are_no_songs_are_rejected_with_their_reason_and_the_worker_lives(
    app: App, worker: WorkerProcess
) -> None:
    cases = {name: case for name, case in hostile.corpus().items() if "called" not in name and "cut at" not in name}
    ids = {name: f"hostile-{number}" for number, name in enumerate(cases)}
    for number, (name, case) in enumerate(cases.items()):
        await app.upload(ids[name], case.content, name=case.file_name, inline=number % 2 == 0)
    got = {}
    for name in cases:
        ingestion = await app.settled(ids[name], deadline=60)
        got[name] = ingestion.reason.cause if ingestion.reason else ingestion.state
    assert got == {name: case.outcome for name, case in cases.items()}
    assert worker.stop() == 0


async def test_what_came_is_not_what_was_sent(app: App, worker: WorkerProcess) -> None:
    await app.upload("changed", song("wav", 0.5), sha256="ab" * 32)
    ingestion = await app.settled("changed")
    assert ingestion.reason is not None
    assert ingestion.reason.cause == "hash-mismatch"
    assert await app.song("ab" * 32) is None


async def test_two_uploads_of_the_same_bytes_share_a_blob_and_are_two_songs(app: App, worker: WorkerProcess) -> None:
    content = song("flac", 0.5, pitch=777)
    await app.upload("twin-1", content, user="user-1")
    await app.upload("twin-2", content, user="user-2")
    first, second = await app.settled("twin-1"), await app.settled("twin-2")
    assert (first.state, second.state) == ("ready", "ready")
    assert await app.song(first.upload.sha256) == content


async def test_a_command_that_is_delivered_twice_is_carried_out_once(app: App, worker: WorkerProcess) -> None:
    content = song("mp3", 0.5, pitch=555)
    command = await app.upload("twice", content)
    await app.settled("twice")
    await app.send(command, content, message_id="twice-again")
    await wait_for_async(lambda: _none(app.waiting()), "the queue to be empty")
    uploads = [event for event in await app.events() if event.data.song_id == "twice"]
    assert [event.id for event in uploads] == [derived_id("song-uploaded", "twice")]
    assert (await app.settled("twice")).attempts == 1


async def test_a_song_goes_again_for_its_uploader_and_for_nobody_else(app: App, worker: WorkerProcess) -> None:
    await app.upload("leaving", song("opus", 0.5))
    await app.settled("leaving")
    await app.remove("leaving", user="user-8")
    letters = await wait_for_async(lambda: _letters(app, "remove-leaving"), "the refusal")
    assert letters == ["not-the-uploader"]
    order = await app.ingestions.read("leaving")
    assert order is not None
    assert order.removed_at is None


async def test_a_removal_is_an_event_after_the_upload(app: App, worker: WorkerProcess) -> None:
    await app.upload("gone", song("ogg", 0.5))
    await app.settled("gone")
    await app.remove("gone")

    async def told() -> list[type]:
        return [type(event.data) for event in await app.events() if event.data.song_id == "gone"]

    async def both() -> bool:
        return await told() == [SongUploaded, SongRemoved]

    await wait_for_async(both, "both events")
    assert (await app.settled("gone")).removed_at is not None


@pytest.mark.parametrize(
    ("name", "properties", "reason"),
    [
        ("no-command", {}, "not-a-command"),
        ("nonsense", {"command": "{"}, "not-a-command"),
        ("number", {"command": 7}, "not-a-command"),
    ],
)
async def test_a_message_that_is_no_command_is_a_dead_letter_with_its_reason(
    app: App, worker: WorkerProcess, name: str, properties: dict[str | bytes, str | int], reason: str
) -> None:
    message = ServiceBusMessage(b"x", message_id=name, application_properties=dict(properties))
    async with app.bus.get_queue_sender(SONG_COMMANDS) as sender:
        await sender.send_messages(message)
    assert await wait_for_async(lambda: _letters(app, name), "the dead letter") == [reason]


async def test_the_worker_ends_in_good_order(app: App, worker: WorkerProcess) -> None:
    for number in range(6):
        await app.upload(f"last-{number}", song("flac", 0.5, pitch=900 + number))
    await app.settled("last-0")
    assert worker.stop() == 0
    began = datetime.now(UTC)
    successor = worker.start()
    for number in range(6):
        # What was in hand is finished or handed back: nobody waits for a lock to run out.
        assert (await app.settled(f"last-{number}", deadline=50)).state == "ready", successor.said
    assert (datetime.now(UTC) - began).total_seconds() < 55


async def _none(found: object) -> bool:
    return not await found  # type: ignore[misc] # any awaitable


async def _letters(app: App, message_id: str) -> list[str | None]:
    return [letter.dead_letter_reason for letter in await app.dead_letters() if letter.message_id == message_id]
