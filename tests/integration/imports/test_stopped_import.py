"""A worker that was stopped in the midst of an import, and goes on after another one has carried it out."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from azure.eventhub.aio import EventHubProducerClient
from azure.servicebus.exceptions import MessageLockLostError
from msgspec import structs

from songline.cloud import cosmos, eventhubs
from songline.cloud.http_transport import Guard, unasked
from songline.cloud.settings import read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.processors.imports.import_runner import ImportRunner
from songline.processors.imports.import_store import ImportStore
from songline.processors.imports.import_turn import ImportTurns
from songline.processors.imports.listen_sender import ListenSender
from songline.processors.imports.postponing import CommandPostponer
from songline.processors.imports.song_resolution import SongResolution
from songline.processors.imports.staged_history import StagedHistories
from songline.schemas.channels import DATABASE, IMPORTS, MUSIC_EVENTS, UPLOAD_BLOBS
from songline.schemas.commands import Command, ImportHistory, UndoImport, Upload
from songline.schemas.imports import HistoryImport
from tests.support.gate import Gate
from tests.support.histories import Heard, listenbrainz
from tests.support.ingestion import App
from tests.support.late_producer import LateProducer

LISTENS = 20
FILE = listenbrainz([Heard(1_616_432_101_000 + number * 240_000, f"Late {number}", "A") for number in range(LISTENS)])


async def lost() -> None:
    """The question of who has lost the lock of the message."""
    raise MessageLockLostError(message="for a test")


def blob_of(command: Command) -> str:
    assert isinstance(command.data, ImportHistory)
    return str(command.data.upload.blob)


class Workers:
    """One that is stopped while it waits for the hub, and one that goes on in its place."""

    def __init__(self, app: App, producer: EventHubProducerClient, folder: Path) -> None:
        self.app = app
        self.slept = timedelta()
        self.hub = Gate()
        self.hub.open.clear()
        self.imports = cosmos.container(app.cosmos, DATABASE, IMPORTS)
        self.store = ImportStore(self.imports)
        self.stopped, self.other = (
            ImportRunner(
                self.store,
                ImportTurns(self.imports, self._now, lambda: uuid.uuid4().hex),
                CommandPostponer(app.bus, self._now),
                StagedHistories(app.blobs),
                ListenSender(hub),
                lambda: SongResolution(partial(cosmos.container, app.cosmos, DATABASE)),
                folder,
                self._now,
            )
            for hub in (LateProducer(producer, self.hub), producer)
        )

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.slept

    async def send(self, user_id: str, run: int = 1) -> Command:
        """Stage the file, as the API does, and note that it is to be imported."""
        blob, sha256, now = uuid.uuid4().hex, hashlib.sha256(FILE).hexdigest(), self._now()
        await self.app.blobs.get_blob_client(UPLOAD_BLOBS, blob).upload_blob(FILE)
        found = HistoryImport(
            id=f"of-{user_id}",
            user_id=user_id,
            state="queued",
            received_at=now,
            updated_at=now,
            sha256=sha256,
            size=len(FILE),
            run=run,
            blob=blob,
        )
        await self.imports.upsert_item(msgspec.to_builtins(found))
        upload = Upload(sha256=sha256, size=len(FILE), content_type="application/octet-stream", blob=blob)
        order = ImportHistory(user_id=user_id, upload=upload, run=run)
        return Command(id=found.id, source="/tests", time=now, data=order)

    async def stop_in(self, command: Command, check: Guard = unasked) -> "asyncio.Task[None]":
        """Have the worker carry out a command until it waits for the hub."""
        working = asyncio.create_task(self.stopped.carry_out(command, check))
        await asyncio.wait_for(self.hub.asked.wait(), 60)
        self.slept = timedelta(hours=1)
        return working

    async def published(self, user_id: str) -> int:
        return len([event for event in await self.app.events() if event.data.user_id == user_id])

    async def documents(self, user_id: str) -> list[str]:
        return sorted(
            [str(one["id"]) async for one in self.imports.query_items("SELECT * FROM c", partition_key=user_id)]
        )


@pytest.fixture
async def workers(app: App, tmp_path: Path) -> AsyncIterator[Workers]:
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    async with eventhubs.producer(read_eventhubs(app.environment), MUSIC_EVENTS) as producer:
        yield Workers(app, producer, tmp_path)


async def test_a_listener_who_was_erased_meanwhile_does_not_come_back(workers: Workers) -> None:
    user_id = "stopped-erased"
    command = await workers.send(user_id)
    working = await workers.stop_in(command)
    await workers.other.carry_out(command)
    assert await workers.documents(user_id) == [command.id, f"{command.id}:0"]
    for document in await workers.documents(user_id):
        await workers.imports.delete_item(document, user_id)
    workers.hub.open.set()
    await working
    assert await workers.documents(user_id) == []
    assert await workers.published(user_id) == LISTENS


async def test_a_run_that_was_begun_meanwhile_is_not_ended(workers: Workers) -> None:
    """Its listener has sent the file again, and another worker reads it."""
    user_id = "stopped-again"
    command = await workers.send(user_id)
    working = await workers.stop_in(command)
    await workers.other.carry_out(command)
    await workers.send(user_id, run=2)
    stored = await workers.store.read(user_id, command.id)
    assert stored is not None
    second = await workers.store.change(stored, lambda found: structs.replace(found, state="running"))
    workers.hub.open.set()
    await working
    assert await workers.store.read(user_id, command.id) == second
    assert await workers.published(user_id) == LISTENS
    assert len(await workers.app.staged()) == 1, "the second file is there"


async def test_an_import_of_the_same_file_that_came_later_is_not_ended(workers: Workers) -> None:
    """Its listener was erased, and has begun anew. The worker had not begun to carry the first command out."""
    user_id = "stopped-unbegun"
    command = await workers.send(user_id)
    await workers.imports.delete_item(command.id, user_id)
    await workers.app.blobs.get_blob_client(UPLOAD_BLOBS, blob_of(command)).delete_blob()
    await workers.send(user_id)
    later = await workers.store.read(user_id, command.id)
    await workers.other.carry_out(command)
    assert await workers.store.read(user_id, command.id) == later


@pytest.mark.parametrize("is_lost", [True, False])
async def test_an_import_of_the_same_file_that_came_later_is_not_taken_back(workers: Workers, is_lost: bool) -> None:
    user_id = f"stopped-undoing-{is_lost}"
    first = await workers.send(user_id)
    await workers.other.carry_out(first)
    undo = Command(id=first.id, source="/tests", time=first.time, data=UndoImport(user_id=user_id))
    working = await workers.stop_in(undo, lost if is_lost else unasked)
    for document in await workers.documents(user_id):
        await workers.imports.delete_item(document, user_id)
    await workers.other.carry_out(await workers.send(user_id))
    later, taken = await workers.store.read(user_id, first.id), await workers.documents(user_id)
    workers.hub.open.set()
    if not is_lost:
        # Its last request is on its way.
        await working
        assert await workers.store.read(user_id, first.id) == later
        return
    with pytest.raises(MessageLockLostError):
        await working
    assert await workers.store.read(user_id, first.id) == later
    assert await workers.documents(user_id) == taken
    assert await workers.published(user_id) == 2 * LISTENS


async def test_an_import_that_nobody_else_took_goes_on(workers: Workers) -> None:
    user_id = "stopped-alone"
    command = await workers.send(user_id)
    working = await workers.stop_in(command)
    workers.hub.open.set()
    await working
    stored = await workers.store.read(user_id, command.id)
    assert stored is not None
    assert (stored.found.state, stored.found.counts.taken) == ("done", LISTENS)
    assert await workers.published(user_id) == LISTENS
    assert await workers.documents(user_id) == [command.id, f"{command.id}:0"]
