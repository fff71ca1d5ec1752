"""A listener is erased in every place, by an eraser that is killed after each of its steps; another one stays whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobClient

from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.processor import CatalogPartitionProcessor
from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.processors.history.erasure.job import ErasureJob, ErasureStepRunner, HeldRecord, StepResult
from songline.processors.history.erasure.places.song_documents import SongDocuments
from songline.processors.history.erasure.requests import TooLateError, undo_erasure
from songline.processors.history.rebuild.lease import RebuildLease
from songline.processors.history.versions.version_store import VersionOvertakenError, VersionStore
from songline.processors.library.processor import LibraryProcessor, ShelfLayout
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime.partition_processor import PartitionProcessor
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.channels import (
    ARCHIVE_BLOBS,
    ARCHIVE_INDEX_BLOBS,
    CHARTS,
    LIBRARY_SHELVES,
    PLAYS,
    PROJECTIONS,
    SONGS,
)
from songline.schemas.erasures import SongsChoice
from songline.schemas.forgotten import is_forgotten
from songline.schemas.projections import VersionDocument, version_id
from tests.support import audio
from tests.support.erasure import NOBODY, SHELVES, ErasureSystem, events_of, finish, read_hub
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


async def test_workers_that_were_stopped_do_not_bring_them_back(system: ErasureSystem) -> None:
    """They have read events, and were stopped before they wrote them. Others have gone on in their place: the library's
    has passed over the listener, who was forgotten by then."""
    user_id = "mara-9"
    await system.tell(*events_of(user_id))
    shelves = ShelfStore(system.database.get_container_client(LIBRARY_SHELVES), 1_000)
    libraries = LibraryProcessor(shelves, ShelfLayout(1, SHELVES), 4, 10_000)
    songs = SongStore(system.database.get_container_client(SONGS))
    told: list[StoredSong] = []

    async def publish(stored: StoredSong) -> None:
        told.append(stored)

    stopped: list[PartitionProcessor] = []
    for partition, records in (await read_hub(system.app)).items():
        retries = PersistentRetry(partition)
        stopped.append(libraries.open(partition, retries))
        stopped.append(CatalogPartitionProcessor(partition, songs, publish, retries, None, lambda _: True))
        for one in stopped[-2:]:
            await one.process(records)
    system.passed_over = user_id
    await system.apply()
    erasure = await system.request(user_id, "keep")
    await finish(system, erasure.id)
    assert not await system.held(user_id)
    for one in stopped:
        await one.flush()
    assert not await system.held(user_id)
    kept = {stored.id: stored for stored in told}[f"kept-of-{user_id[::-1]}"]
    assert kept.song is not None, "it is not lost"
    assert is_forgotten(kept.song.user_id)


class Before:
    """A step before which something is done, the first time."""

    def __init__(self, step: ErasureStepRunner, what: dict[str, Callable[[], Awaitable[None]]]) -> None:
        self.name = step.name
        self._step, self._what = step, what

    async def run(self, job: ErasureJob) -> StepResult:
        if what := self._what.pop(self.name, None):
            await what()
        return await self._step.run(job)


async def test_songs_uploaded_while_it_runs_are_withdrawn_up_to_the_bounds(system: ErasureSystem) -> None:
    user_id = "gina-2"
    await system.tell(*events_of(user_id)[:1])
    erasure = await system.request(user_id, "remove")

    async def ingest(step: str, skew: timedelta) -> None:
        """Of a worker whose clock is another one."""
        system.ahead += skew
        await system.ingest(user_id, f"before-{step}", audio.song("wav", 0.2, pitch=500 + len(step)))
        system.ahead -= skew

    hour = timedelta(hours=1)
    what: dict[str, Callable[[], Awaitable[None]]] = {
        "hub": partial(ingest, "hub", hour),
        "libraries": partial(ingest, "libraries", -hour),
    }
    await finish(system, erasure.id, lambda worker: system.eraser(worker, lambda step: Before(step, what)).round())
    assert not what
    await system.apply()
    held = await system.held(user_id)
    assert {one.id for one in held if one.kind == "ingestion"} == {"before-libraries"}
    assert "before-hub" not in str(held)


async def test_a_rebuild_that_has_read_them_is_waited_for(system: ErasureSystem) -> None:
    """It may hold of the archive what it was before, and write that after all that is erased."""
    user_id = "iris-5"
    await system.tell(*events_of(user_id))
    erasure = await system.request(user_id, "keep")
    now = system.now()
    built = VersionDocument(
        id=version_id(SONGS, 3),
        projection=SONGS,
        version=3,
        state="building",
        since=now,
        started_at=now,
        worker="elsewhere:1",
        recorded_at=now + timedelta(minutes=20),
    )
    documents = system.database.get_container_client(PROJECTIONS)
    await documents.upsert_item(msgspec.to_builtins(built))

    async def waits() -> bool:
        await system.apply()
        await system.eraser("first").round()
        progress = (await system.read(erasure.id)).progress
        return progress is not None and "version 3 of songs is being built, and is at -1 of" in progress.waits_for

    await wait_for_async(waits, "the erasure to wait for the rebuild", 120)
    assert (await system.read(erasure.id)).step("index") is not None
    store = VersionStore(documents, system.now)
    stored = await store.read(SONGS, 3)
    assert stored is not None
    lease = RebuildLease(store, stored, built.worker, system.now)
    system.ahead += timedelta(hours=1)
    await finish(system, erasure.id)
    # Should it only have been stopped, it finds that it is not its own any more.
    with pytest.raises(VersionOvertakenError, match="version 3 of songs was taken from this process"):
        await lease.check()
    await documents.delete_item(built.id, built.id)


@pytest.mark.parametrize("projection", [CHARTS, PLAYS])
async def test_it_is_not_fixed_up_to_where_they_are_forgotten_while_charts_are_rebuilt(
    system: ErasureSystem, projection: str
) -> None:
    """The rebuild would begin anew: it has read a part of their events under the id."""
    user_id = f"lina-{projection}"
    await system.tell(*events_of(user_id)[:1])
    await system.apply()
    erasure, now = await system.request(user_id, "keep"), system.now()
    built = VersionDocument(
        id=version_id(projection, 2),
        projection=projection,
        version=2,
        state="building",
        since=now,
        started_at=now,
        worker="elsewhere:1",
        recorded_at=now,
    )
    documents = system.database.get_container_client(PROJECTIONS)
    await documents.upsert_item(msgspec.to_builtins(built))
    await system.eraser("first").round()
    waiting = await system.read(erasure.id)
    assert waiting.progress is not None
    assert (waiting.progress.name, waiting.progress.waits_for) == ("hub", f"version 2 of {projection} is being built")
    assert waiting.hub_created_at is None
    # It was killed: nobody has heard of it for its lease.
    system.ahead += timedelta(minutes=5)
    await system.eraser("second").round()
    assert (await system.read(erasure.id)).hub_created_at is not None
    await documents.delete_item(built.id, built.id)
    await finish(system, erasure.id)


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
