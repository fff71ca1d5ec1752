"""`songline upload` and `songline dlq`, as they are typed."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties

from songline.cloud import cosmos
from songline.processes.entities import CONTAINERS
from songline.schemas.channels import DATABASE, SONG_COMMANDS, UPLOAD_BLOBS
from songline.schemas.commands import PROPERTY, Command, IngestSong, Upload, encode
from songline.schemas.ingestions import Ingestion
from tests.support.api import ApiProcess
from tests.support.audio import song
from tests.support.ingestion import App, WorkerProcess
from tests.support.waiting import wait_for, wait_for_async

Environment = Mapping[str, str]


@pytest.fixture
def environment(app: App, api: ApiProcess, tmp_path: Path) -> Environment:
    return {**app.environment, "SONGLINE_DATA": str(tmp_path / "data"), "SONGLINE_API": api.address, "COLUMNS": "200"}


async def songline(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "songline", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def lines(environment: Environment) -> list[dict[str, str]]:
    text = Path(environment["SONGLINE_DATA"], "uploads.ndjson").read_text()
    return [json.loads(line) for line in text.splitlines() if line]


async def test_a_folder_is_uploaded_once_and_told_truly(
    app: App, environment: Environment, worker: WorkerProcess, tmp_path: Path
) -> None:
    music = tmp_path / "music"
    (music / "album").mkdir(parents=True)
    (music / "one.mp3").write_bytes(song("mp3", 0.5, pitch=411))
    (music / "album" / "two.flac").write_bytes(song("flac", 0.5, pitch=412))
    (music / "album" / "broken.wav").write_bytes(b"no audio")
    (music / "notes.txt").write_text("not a song, and not called like one")
    first = await songline(environment, "upload", str(music), "--user", "user-cli")
    assert first.returncode == 1, first.stderr
    assert sorted(line.split()[0] for line in first.stdout.splitlines()) == ["ready", "ready", "rejected"]
    assert "This is not audio" in first.stdout
    assert "2 ready, 1 not taken" in first.stderr
    ids = {line["ingestion"] for line in lines(environment)}
    assert len(ids) == 3

    (music / "one.mp3").rename(music / "renamed.mp3")
    before = {name: await attempts(app, name) for name in ids}
    second = await songline(environment, "upload", str(music), "--user", "user-cli")
    assert second.returncode == 1
    assert {line["ingestion"] for line in lines(environment)} == ids
    assert {name: await attempts(app, name) for name in ids} == before

    third = await songline(environment, "upload", str(music / "renamed.mp3"), "--user", "user-cli", "--anew")
    assert third.returncode == 0, third.stderr
    assert len({line["ingestion"] for line in lines(environment)}) == 4


async def attempts(app: App, name: str) -> int:
    found = await app.ingestions.read(name)
    assert found is not None
    return found.attempts


async def test_what_is_interrupted_goes_on_where_it_was(app: App, environment: Environment, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for number in range(8):
        (music / f"{number}.wav").write_bytes(os.urandom(300_000 * (1 + 20 * (number > 3))))
    arguments = ["upload", str(music), "--user", "user-stop", "--no-wait", "--parallel=1"]
    journal = Path(environment["SONGLINE_DATA"], "uploads.ndjson")
    sent = await asyncio.to_thread(killed_after_some, environment, arguments, journal)
    again = await songline(environment, *arguments)
    assert again.returncode == 0, again.stderr
    assert "8 accepted" in again.stderr
    entries = lines_whole(journal)
    assert sent <= {entry["ingestion"] for entry in entries}
    assert len(entries) == len({entry["ingestion"] for entry in entries}) == 8


def killed_after_some(environment: Environment, arguments: list[str], journal: Path) -> set[str]:
    """What was sent by then; the journal ends in the middle of a line."""
    process = subprocess.Popen([sys.executable, "-m", "songline", *arguments], env=dict(environment))
    try:
        wait_for(lambda: journal.exists() and journal.read_text().count("ingestion") > 2, "some uploads")
    finally:
        process.kill()
        process.wait()
    sent = {line["ingestion"] for line in lines(environment)}
    assert len(sent) < 8, "all were sent before the kill: this run has shown nothing"
    with journal.open("a") as file:
        file.write('{"file": {"pa')
    return sent


def lines_whole(journal: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]


async def test_a_folder_of_more_files_than_one_caller_may_send_at_once_comes_in(
    app: App, environment: Environment, tmp_path: Path
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for number in range(8):
        (music / f"{number}.wav").write_bytes(b"RIFF" + bytes([number]))
    slow = ApiProcess({**app.environment, "SONGLINE_REQUESTS_PER_SECOND": "2"}, tmp_path / "slow.log").start()
    try:
        # The second time only asks of each file whether it is there.
        for _ in range(2):
            done = await songline(
                environment, "upload", str(music), "--user", "user-many", "--no-wait", "--api", slow.address
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert "8 accepted" in done.stderr
        hasty = ("upload", str(music), "--user", "user-many", "--no-wait", "--patience", "0", "--anew")
        late = await songline(environment, *hasty, "--api", slow.address)
    finally:
        slow.kill()
    assert late.returncode == 3, late.stdout + late.stderr
    assert "saw more than 2 requests a second" in late.stderr
    assert "The same command goes on from there." in late.stderr


async def test_without_an_api_or_a_song_it_says_so(environment: Environment, tmp_path: Path) -> None:
    nobody = await songline(environment, "upload", __file__, "--api", "http://127.0.0.1:9", "--patience", "1")
    assert nobody.returncode == 3
    assert "can't be reached" in nobody.stderr
    empty = await songline(environment, "upload", str(tmp_path))
    assert (empty.returncode, "no songs in" in empty.stderr) == (2, True)
    wrong = await songline(environment, "upload", __file__, "--genre", "<b>")
    assert (wrong.returncode, "genre" in wrong.stderr) == (2, True)


async def dead(app: App, ingestion_id: str, content: bytes, staged: bool = False) -> Command:
    """A command that died, with its ingestion and, if staged, its file."""
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    upload = Upload(
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        content_type="audio/wav",
        blob=ingestion_id if staged else None,
    )
    now = datetime.now(UTC)
    command = Command(
        id=ingestion_id,
        source="/tests",
        time=now,
        data=IngestSong(user_id="user-dead", upload=upload, file_name=f"{ingestion_id}.wav"),
    )
    if staged:
        await app.blobs.get_blob_client(UPLOAD_BLOBS, ingestion_id).upload_blob(content)
    document = Ingestion(
        id=ingestion_id, user_id="user-dead", state="dead", received_at=now, updated_at=now, upload=upload
    )
    await app.ingestions.change(ingestion_id, lambda known: known or document)
    body = b"" if staged else content
    message = ServiceBusMessage(
        body, message_id=ingestion_id, application_properties={PROPERTY: encode(command).decode()}
    )
    async with app.bus.get_queue_sender(SONG_COMMANDS) as sender:
        await sender.send_messages(message)
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        while True:
            for received in await receiver.receive_messages(1, max_wait_time=10):
                if received.message_id == ingestion_id:
                    await receiver.dead_letter_message(received, reason="failed", error_description="The disk burned.")
                    return command
                await receiver.complete_message(received)


async def letters(environment: Environment) -> dict[str, dict[str, str | int]]:
    listed = await songline(environment, "dlq", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    return {letter.get("commandId", letter["messageId"]): letter for letter in found}


async def test_what_died_is_listed_shown_and_sent_again(app: App, environment: Environment, tmp_path: Path) -> None:
    content = song("wav", 0.5, pitch=234)
    await dead(app, "dead-1", content)
    await dead(app, "dead-2", b"x")
    letter = (await letters(environment))["dead-1"]
    assert (letter["reason"], letter["description"], letter["fileName"]) == ("failed", "The disk burned.", "dead-1.wav")
    table = await songline(environment, "dlq", "list")
    assert "dead-1.wav" in table.stdout
    assert "The disk burned." in table.stdout
    number = str(letter["number"])
    shown = await songline(environment, "dlq", "show", number)
    assert json.loads(shown.stdout) == letter
    again = await songline(environment, "dlq", "resubmit", number, "--note", "the disk is new", "--by", "ada")
    assert again.returncode == 0, again.stderr
    found = await app.ingestions.read("dead-1")
    assert found is not None
    assert found.state == "queued"
    assert set(await letters(environment)) == {"dead-2"}
    worker = WorkerProcess(app.environment, tmp_path / "worker.log").start()
    try:
        assert (await app.settled("dead-1")).state == "ready", worker.said
    finally:
        worker.kill()
    gone = await songline(environment, "dlq", "resubmit", number)
    assert (gone.returncode, number in gone.stderr) == (1, True)
    log = await songline(environment, "dlq", "log")
    line = next(entry for entry in map(json.loads, log.stdout.splitlines()) if entry["commandId"] == "dead-1")
    assert (line["by"], line["action"], line["note"], line["diedOf"]) == (
        "ada",
        "resubmit",
        "the disk is new",
        "failed",
    )


async def test_what_is_discarded_stays_dead_and_its_file_goes(app: App, environment: Environment) -> None:
    await dead(app, "dead-3", b"some song", staged=True)
    number = str((await letters(environment))["dead-3"]["number"])
    unsure = await songline(environment, "dlq", "discard", number)
    assert unsure.returncode == 1
    assert "dead-3" in await letters(environment)
    done = await songline(environment, "dlq", "discard", number, "--yes", "--note", "nobody wants it")
    assert done.returncode == 0, done.stderr
    assert "dead-3" not in await letters(environment)
    assert "dead-3" not in await app.staged()
    found = await app.ingestions.read("dead-3")
    assert found is not None
    assert found.reason is not None
    assert (found.state, found.reason.text) == ("dead", "It was given up: nobody wants it. Send the file again.")


async def test_a_letter_that_is_no_command_is_listed_and_can_be_discarded(app: App, environment: Environment) -> None:
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    properties = AmqpMessageProperties(message_id="rubbish")
    async with app.bus.get_queue_sender(SONG_COMMANDS) as sender:
        await sender.send_messages(AmqpAnnotatedMessage(value_body=7, properties=properties))

    async def set_aside() -> bool:
        async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
            for received in await receiver.receive_messages(10, max_wait_time=1):
                if received.message_id == "rubbish":
                    await receiver.dead_letter_message(received, reason="not-a-command")
                    return True
        return False

    await wait_for_async(set_aside, "the rubbish")
    table = await songline(environment, "dlq", "list")
    assert "not-a-command" in table.stdout
    number = (await letters(environment))["rubbish"]["number"]
    again = await songline(environment, "dlq", "resubmit", str(number))
    assert (again.returncode, "refused: 1" in again.stderr, "AMQP value" in again.stdout) == (1, True, True)
    done = await songline(environment, "dlq", "discard", "--all", "--yes")
    assert done.returncode == 0, done.stderr
    assert await letters(environment) == {}
