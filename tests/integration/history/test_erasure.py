"""A listener is erased in every place, by an eraser that is killed after each of its steps; another one stays whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobClient

from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.processors.history.erasure.job import ErasureJob, ErasureStepRunner, HeldRecord, StepResult
from songline.processors.history.erasure.places.song_documents import SongDocuments
from songline.processors.history.erasure.requests import TooLateError, undo_erasure
from songline.schemas.channels import (
    ARCHIVE_BLOBS,
    ARCHIVE_INDEX_BLOBS,
)
from songline.schemas.erasures import SongsChoice
from songline.schemas.errors import PoisonError
from tests.support.erasure import NOBODY, Before, ErasureSystem, events_of, finish
from tests.support.waiting import wait_for_async

STEPS = (
    *("found", "tokens", "songs", "hub", "libraries", "catalog", "uploads", "imports", "records", "undelivered"),
    *("archive", "index", "again"),
)
USER, OTHER = "anna-7", "benno-8"
CAPTURE = ("--capture-interval", "1")
"""The hub is captured every second."""


class EndsAfter:
    """A step after which the process is killed, before it is recorded that the step is done."""

    def __init__(self, step: ErasureStepRunner, killed: set[str], is_killed: asyncio.Event) -> None:
        self.name = step.name
        self._step, self._killed, self._is_killed = step, killed, is_killed

    async def run(self, job: ErasureJob) -> StepResult:
        result = await self._step.run(job)
        if self.name not in self._killed:
            self._killed.add(self.name)
            self._is_killed.set()
            await asyncio.Event().wait()
        return result


async def run_until_killed(system: ErasureSystem, worker: str, killed: set[str]) -> None:
    """A look of an eraser, which is killed after the first step that none was killed after yet."""
    is_killed = asyncio.Event()
    round_ = asyncio.create_task(system.eraser(worker, lambda step: EndsAfter(step, killed, is_killed)).round())
    killing = asyncio.create_task(is_killed.wait())
    await asyncio.wait((round_, killing), return_when=asyncio.FIRST_COMPLETED)
    for task in (round_, killing):
        task.cancel()
    for result in await asyncio.gather(round_, killing, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def written(records: list[HeldRecord]) -> set[str]:
    """What is held, to compare with."""
    return {msgspec.json.encode(record, order="sorted").decode() for record in records}


async def lasting(system: ErasureSystem, user_id: str) -> list[HeldRecord]:
    """What is held of a listener but for what goes with its hub's retention."""
    return [one for one in await system.held(user_id) if one.place != "now-playing"]


@pytest.mark.parametrize("songs", ["remove", "keep"])
async def test_a_listener_is_erased_though_its_worker_is_killed_after_each_step(
    system: ErasureSystem, songs: SongsChoice
) -> None:
    user_id, other = f"{USER}-{songs}", f"{OTHER}-{songs}"
    for one in (user_id, other):
        await system.leave_traces(one)
    await system.apply()
    await wait_for_async(partial(system.is_captured, user_id, len(events_of(user_id))), "Capture to write a file", 60)
    before = await system.held(user_id)
    assert {record.place for record in before} >= {"libraries", "catalog", "uploads", "records", "archive"}
    assert {record.kind for record in before} >= {
        "listen",
        "upload",
        "fact",
        "ingestion",
        "dead letter",
        "parked",
        "player token",
        "undelivered event",
        "playback",
    }
    kept = written(await system.held(other))

    erasure = await system.request(user_id, songs)
    assert (await system.request(user_id, songs)).id == erasure.id, "asked twice is asked once"
    assert [one.id for one in await system.held(user_id) if one.kind == "erasure"] == [erasure.id]
    killed: set[str] = set()
    found = await finish(system, erasure.id, lambda worker: run_until_killed(system, worker, killed))
    assert killed == set(STEPS)
    counted, archived = found.step("found"), found.step("archive")
    assert counted is not None
    assert counted.counts["listen"] == 2 * 3, "in each of two versions"
    assert archived is not None
    assert archived.counts["archived events"] >= len(events_of(user_id))
    assert not await lasting(system, user_id)
    assert written(await system.held(other)) == kept
    assert len([one for one in await system.held(NOBODY) if one.kind == "undelivered event"]) >= 2
    assert user_id not in msgspec.json.encode(found).decode()
    # Taken anew, it would be no song that anybody finds: its owner is one who has gone.
    with pytest.raises(PoisonError, match="was begun by another user"):
        await system.ingest(user_id, f"ready-{user_id[::-1]}", b"the same id")
    # A subscriber who took nothing for a day, until the topic gave up.
    await system.leave_undelivered(user_id)
    await system.parts.end(found)
    assert not await lasting(system, user_id)
    with pytest.raises(TooLateError):
        await undo_erasure(system.parts.store, erasure.id, system.now())


async def test_a_request_is_taken_back_while_its_window_lasts(system: ErasureSystem) -> None:
    erasure = await system.request("carla-9", "keep", timedelta(hours=24))
    await system.eraser("worker").round()
    assert (await system.read(erasure.id)).state == "waiting"
    undone = await undo_erasure(system.parts.store, erasure.id, system.now())
    assert undone.state == "undone"
    assert "carla-9" not in msgspec.json.encode(undone).decode()
    system.ahead += timedelta(days=2)
    await system.eraser("worker").round()
    assert await system.read(erasure.id) == undone


class TopicOfKilled(CompactedTopicWriter):
    """The hub `catalog` for a process that is killed before it tells it the first song."""

    def __init__(self) -> None:
        self.is_killed = False
        self.told: set[str] = set()

    async def publish(self, stored: StoredSong) -> None:
        if not self.is_killed:
            self.is_killed = True
            raise ConnectionError("killed")
        self.told.add(stored.id)


async def test_the_hub_is_told_of_songs_that_were_renamed_before_a_kill(system: ErasureSystem) -> None:
    user_id = "dora-3"
    await system.tell(*events_of(user_id))
    await system.apply()
    erasure = await system.request(user_id, "keep", timedelta(hours=24))
    job = ErasureJob(system.parts.store, erasure, "worker", system.now)
    topic = TopicOfKilled()

    @asynccontextmanager
    async def open_topic(_: SongStore) -> AsyncIterator[CompactedTopicWriter]:
        yield topic

    documents = SongDocuments(system.database, open_topic)
    with pytest.raises(ConnectionError):
        await documents.run(job)
    await documents.run(job)
    assert topic.told == {f"{name}-of-{user_id[::-1]}" for name in ("kept", "gone")}
    assert not [fact async for fact in documents.held(user_id)]
    await undo_erasure(system.parts.store, erasure.id, system.now())


async def test_the_index_is_emptied_though_each_file_was_replaced_just_before_a_kill(
    system: ErasureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on finds nothing of theirs in a file that is replaced already; the index is of the file before."""
    user_id = "kira-8"
    index = system.app.blobs.get_container_client(ARCHIVE_INDEX_BLOBS)
    with suppress(ResourceExistsError):
        await index.create_container()
    await index.upload_blob("song-events/0", user_id.encode(), overwrite=True)
    await system.tell(*events_of(user_id))
    erasure = await system.request(user_id, "keep")
    upload, replaced = BlobClient.upload_blob, set[str]()

    async def upload_and_die(client: BlobClient, *args: Any, **options: Any) -> Any:
        found = await upload(client, *args, **options)
        if client.container_name == ARCHIVE_BLOBS and client.blob_name not in replaced:
            replaced.add(client.blob_name)
            raise ConnectionError("killed")
        return found

    monkeypatch.setattr(BlobClient, "upload_blob", upload_and_die)

    async def look(worker: str) -> None:
        with suppress(ConnectionError):
            await system.eraser(worker).round()

    archived = (await finish(system, erasure.id, look)).step("archive")
    assert replaced
    assert archived is not None
    assert archived.counts["archived events"] >= len(events_of(user_id))
    assert [blob.name async for blob in index.list_blobs()] == []


async def test_what_comes_after_they_were_forgotten_is_theirs_until_they_ask_again(system: ErasureSystem) -> None:
    user_id = "emil-4"
    await system.tell(*events_of(user_id)[:3])
    erasure = await system.request(user_id, "keep")
    killed = set(STEPS) - {"hub"}
    await system.apply()
    await run_until_killed(system, "worker-1", killed)
    # Late ones of an outbox: they happened before, and the hub takes them after.
    await system.tell(*events_of(user_id)[:2])
    again = await system.request(user_id, "keep")
    assert again.id != erasure.id, "it is fixed already what the first one forgets"
    assert (await system.request(user_id, "keep")).id == again.id
    await finish(system, erasure.id)
    await wait_for_async(partial(system.is_captured, user_id, 2), "Capture to write what came after", 60)
    assert len([one for one in await system.held(user_id) if one.place == "archive"]) == 2
    await finish(system, again.id)
    assert not await system.held(user_id)


async def test_files_that_can_not_be_read_are_named_and_stop_no_other(system: ErasureSystem) -> None:
    user_id, damaged = "hugo-3", "ns/music-events/0/2026/11/22/12/00/00.avro"
    archive = system.app.blobs.get_container_client(ARCHIVE_BLOBS)
    files = {damaged: b"Obj no more", "notes.txt": b"nobody", "a/more.txt": b"of hugo-3.", "empty.avro": b""}
    for name, data in files.items():
        await archive.upload_blob(name, data)
    await system.tell(*events_of(user_id))
    erasure = await system.request(user_id, "keep")

    async def fail() -> None:
        raise ValueError(f"nothing is known of {user_id}\nand more")

    with suppress(ValueError):
        await system.eraser("first", lambda step: Before(step, {"found": fail})).round()
    progress = (await system.read(erasure.id)).progress
    assert progress is not None
    assert progress.waits_for == "nothing is known of (forgotten)"

    async def waits() -> bool:
        await system.apply()
        await system.eraser("second").round()
        found = (await system.read(erasure.id)).progress
        return found is not None and "can't be read" in found.waits_for

    await wait_for_async(waits, "the erasure to wait for the damaged file", 120)
    progress = (await system.read(erasure.id)).progress
    assert progress is not None
    assert f"{damaged}: it begins with b'Obj '" in progress.waits_for
    assert "Restore each from a backup, or delete it" in progress.waits_for
    assert progress.unreadable == ("a/more.txt", damaged)
    assert progress.counts["archived events"] == len(events_of(user_id)), "all others are done"
    assert {one.kind for one in await system.held(user_id) if one.place == "archive"} == {
        "damaged file",
        "foreign file",
    }

    await archive.delete_blob(damaged)
    archived = (await finish(system, erasure.id)).step("archive")
    assert archived is not None
    assert archived.counts["archived events"] == len(events_of(user_id))
    assert archived.note == "1 blobs that no Capture has written name them, and were left as they are: a/more.txt"
    for name in files.keys() - {damaged}:
        await archive.delete_blob(name)
