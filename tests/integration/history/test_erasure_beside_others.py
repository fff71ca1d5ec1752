"""A listener is erased while others are at work: the listener themself, workers that were stopped, rebuilds."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec
import pytest

from songline.processors.catalog.processor import CatalogPartitionProcessor
from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.processors.history.erasure.job import ErasureJob, LeaseLostError
from songline.processors.history.rebuild.lease import RebuildLease
from songline.processors.history.versions.version_store import VersionOvertakenError, VersionStore
from songline.processors.library.processor import LibraryProcessor, ShelfLayout
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.partition_processor import PartitionProcessor
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.channels import (
    CHARTS,
    IMPORTS,
    LIBRARY_SHELVES,
    MUSIC_EVENTS,
    PARKED,
    PLAYS,
    PROJECTIONS,
    SONGS,
)
from songline.schemas.envelope import encode
from songline.schemas.erasures import begun
from songline.schemas.forgotten import is_forgotten
from songline.schemas.imports import HistoryImport, ListenPage
from songline.schemas.parked import parked_event
from songline.schemas.projections import VersionDocument, version_id
from tests.support import audio
from tests.support.erasure import SHELVES, Before, ErasureSystem, events_of, finish, read_hub
from tests.support.waiting import wait_for_async

CAPTURE = ("--capture-interval", "1")
"""The hub is captured every second."""


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


async def test_what_comes_in_behind_the_bounds_is_kept(system: ErasureSystem) -> None:
    """Imports, and records that no reader can apply: they are of a listener who begins anew."""
    user_id = "nora-1"
    await system.tell(*events_of(user_id)[:1])
    erasure = await system.request(user_id, "keep")
    imports = system.database.get_container_client(IMPORTS)
    parked = ParkedStore(system.database.get_container_client(PARKED))
    body = encode(events_of(user_id)[0])

    async def leave(step: str, skew: timedelta) -> None:
        """An import of a worker whose clock is another one; and a parked record, once there are bounds."""
        at, bounds = system.now() + skew, (await system.read(erasure.id)).bounds
        found = HistoryImport(
            id=f"import-{step}", user_id=user_id, state="done", received_at=at, updated_at=at, sha256="0" * 64, size=1
        )
        page = ListenPage(id=f"page-{step}", user_id=user_id, import_id=found.id, run=1, number=0, listens="")
        for document in (found, page):
            await imports.create_item(msgspec.to_builtins(document))
        if bounds:
            behind, now = bounds["0"] + 1, system.now()
            await parked.park(parked_event("library", MUSIC_EVENTS, "0", behind, now, body, "tests", "none", now))

    hour = timedelta(hours=1)
    what: dict[str, Callable[[], Awaitable[None]]] = {
        "hub": partial(leave, "hub", hour),
        "libraries": partial(leave, "libraries", -hour),
    }
    done = await finish(
        system, erasure.id, lambda worker: system.eraser(worker, lambda step: Before(step, what)).round()
    )
    assert not what
    held = await system.held(user_id)
    assert {one.id for one in held if one.place == "imports"} == {"import-libraries", "page-libraries"}
    assert [one.value["position"] for one in held if one.place == "records"] == [done.bounds["0"] + 1]
    await finish(system, (await system.request(user_id, "keep")).id)
    assert not [one for one in await system.held(user_id) if one.place == "imports"]


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


async def test_an_eraser_that_was_stopped_takes_nothing_of_who_began_anew(system: ErasureSystem) -> None:
    """Another one has finished the erasure, in the midst of whose first steps it was."""
    user_id = "ruth-4"
    await system.tell(*events_of(user_id)[:1])
    erasure, lease = await system.request(user_id, "remove"), timedelta(seconds=2)
    taken = await system.parts.store.change(erasure.id, lambda found: begun(found, "stopped", system.now(), lease))
    stopped = ErasureJob(system.parts.store, taken, "stopped", system.now, lease)
    await stopped.check()
    system.ahead += timedelta(hours=1)
    await finish(system, erasure.id)
    await system.leave_traces(user_id)
    await system.apply()
    held = [(one.place, one.kind, one.id) for one in await system.held(user_id)]
    for step in system.parts.steps(system.producer, timedelta(days=7), patience_s=0):
        if step.name in ("tokens", "songs"):
            with pytest.raises(LeaseLostError):
                await step.run(stopped)
    assert [(one.place, one.kind, one.id) for one in await system.held(user_id)] == held
    assert {"player token", "ingestion", "dead letter"} <= {kind for _, kind, _ in held}


def being_built(projection: str, version: int, begun: datetime, heard_of: datetime) -> VersionDocument:
    """A version that a rebuild elsewhere writes."""
    return VersionDocument(
        id=version_id(projection, version),
        projection=projection,
        version=version,
        state="building",
        since=begun,
        started_at=begun,
        worker="elsewhere:1",
        recorded_at=heard_of,
    )


async def test_a_rebuild_that_has_read_them_is_waited_for(system: ErasureSystem) -> None:
    """It may hold of the archive what it was before, and write that after all that is erased."""
    user_id = "iris-5"
    await system.tell(*events_of(user_id))
    erasure = await system.request(user_id, "keep")
    now = system.now()
    built = being_built(SONGS, 3, now, now + timedelta(minutes=20))
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
    built = being_built(projection, 2, now, now)
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
