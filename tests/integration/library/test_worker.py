"""Libraries from the hub to Cosmos DB, by library workers as they run: killed, several, and against others' writes."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from azure.cosmos import CosmosList
from azure.cosmos.exceptions import CosmosHttpResponseError

from songline.audit.library_reference import Place, Row, Shelf, libraries
from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.service_fault import is_transient
from songline.cloud.settings import read_blobs, read_cosmos
from songline.processors.library.actions import parse_actions
from songline.processors.library.processor import LibraryPartitionProcessor, LibraryProcessor, ShelfLayout
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.library.tree import TreeCapacity
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.projection_config import ProjectionConfig, ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.schemas.channels import DATABASE
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongUnliked
from songline.schemas.library.action import UserAction
from songline.schemas.library.action_run import decode_run
from songline.schemas.library.shelf import ROOT
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TORN = r"shelf gone: of .* one is missing, or older than its parent\. .* restore the container library-shelves"
LAYOUT = ShelfLayout(version=1, shelves=4)


@pytest.fixture
async def hub(song_cloud: LocalCloud) -> AsyncIterator[Libraries]:
    async with libraries_on(song_cloud) as found:
        yield found


@pytest.fixture(scope="module")
def worker(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibraryWorker]:
    found = LibraryWorker(song_cloud, tmp_path_factory.mktemp("worker") / "log").start()
    yield found
    assert found.stop() == 0, found.said


def event(data: Payload, event_id: str, second: int = 0) -> Event:
    return Event(id=event_id, source="/tests", time=NOON + timedelta(seconds=second), data=data)


def played(user_id: str, song_id: str, number: int) -> Event:
    data = SongPlayed(user_id=user_id, song_id=song_id, played_ms=40_000, duration_ms=200_000, region="DE")
    return event(data, f"{user_id}-{number}", number)


async def read_all(hub: Libraries) -> None:
    ends = await hub.ends()
    await wait_for_async(lambda: hub.read_up_to(ends), f"the libraries to be at {ends}")


async def test_actions_are_in_the_library_and_poison_stops_nothing(hub: Libraries, worker: LibraryWorker) -> None:
    liked = event(SongLiked(user_id="ann", song_id="song-2"), "ann-like", 5)
    await hub.tell(played("ann", "song-1", 1), b"\xffnonsense", liked, played("ann", "song-1", 2), partition="1")
    await hub.tell(event(SongUnliked(user_id="bob", song_id="song-9"), "bob-unlike"), partition="3")
    await read_all(hub)
    found = await hub.all()
    log: list[Place] = [
        (1, 0, played("ann", "song-1", 1)),
        (1, 2, liked),
        (1, 3, played("ann", "song-1", 2)),
        (3, 0, event(SongUnliked(user_id="bob", song_id="song-9"), "bob-unlike")),
    ]
    assert {user: found[user] for user in ("ann", "bob")} == libraries(log)
    assert re.search(
        r"partition 1: 1 of \d records can.t be decoded and are parked; the first is at \d: not-an-event", worker.said
    )


async def test_a_listener_with_more_songs_than_a_transaction_takes(hub: Libraries, worker: LibraryWorker) -> None:
    events = [played("collector", f"song-{number % 250}", number) for number in range(400)]
    await hub.tell(*events, partition="0")
    await read_all(hub)
    assert (await hub.all())["collector"] == libraries([(0, n, one) for n, one in enumerate(events)])["collector"]


async def test_unwritten_actions_are_written_when_the_worker_stops(song_cloud: LocalCloud, hub: Libraries) -> None:
    async with cosmos.client(read_cosmos(song_cloud.environment)) as database:
        await cosmos.ensure(database, DATABASE, (Container("parting", "/shelf", ()),))
        container = cosmos.container(database, DATABASE, "parting")
        own = Libraries(hub.producer, container)
        shared = LibraryProcessor(ShelfStore(container, room_kb=100), LAYOUT, writes=4, buffer=10_000)
        parts: dict[str, LibraryPartitionProcessor] = {}

        def take_up(partition: str, retries: PersistentRetry) -> LibraryPartitionProcessor:
            parts[partition] = shared.open(partition, retries)
            return parts[partition]

        # After the first, nothing is written for half a minute.
        config, stop = ProjectionConfig(flush_s=30, look_s=300, balance_s=1, expire_s=3), asyncio.Event()
        projection = ProjectionDefinition("parting", "$Default", "parting", "shelf", lambda *_: take_up)
        environment = ProjectionEnvironment(song_cloud.settings(), read_blobs(song_cloud.environment), config)
        reading = asyncio.create_task(run_projection(projection, environment, stop))
        await hub.tell(played("parting", "song-1", 1), partition="2")
        await wait_for_async(lambda: _has(own, "parting"), "the first listen")
        await hub.tell(played("parting", "song-2", 2), partition="2")
        await wait_for_async(lambda: _holds(parts["2"]), "the second listen to wait")
        assert set(_rows(await own.all(), "parting")) == {"song-1"}
        stop.set()
        await reading
        assert set(_rows(await own.all(), "parting")) == {"song-1", "song-2"}
        assert shared.waiting == 0


@pytest.fixture
async def shelves(song_cloud: LocalCloud, hub: Libraries) -> AsyncIterator[Libraries]:
    """A container of shelves that no worker writes to."""
    async with cosmos.client(read_cosmos(song_cloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, (Container("shelves-alone", "/shelf", ()),))
        yield Libraries(hub.producer, cosmos.container(account, DATABASE, "shelves-alone"))


def actions_of(events: Sequence[Event]) -> list[UserAction]:
    return parse_actions(2, [HubRecord(number, None, encode(body)) for number, body in enumerate(events)]).actions


async def test_a_late_write_loses_and_finds_its_actions_applied(shelves: Libraries) -> None:
    one, other = (ShelfStore(shelves.container, room_kb=1_000) for _ in range(2))
    events = [played("stolen", f"song-{number % 3}", number) for number in range(12)]
    actions = actions_of(events)
    await one.apply("late", 2, actions[:4])
    # The partition goes to another worker, which begins again at a checkpoint that was behind.
    await other.apply("late", 2, actions[:8])
    await one.apply("late", 2, actions[4:6])
    await one.apply("late", 2, actions[6:10])
    await other.apply("late", 2, actions[8:])
    assert (await shelves.all())["stolen"] == libraries([(2, n, body) for n, body in enumerate(events)])["stolen"]
    stored = [action for node in await shelves.nodes() for run in node.runs for action in decode_run(run)]
    assert sorted(action.position for action in stored if action.user_id == "stolen") == list(range(12))
    assert one.counts.conflicts >= 1
    assert other.counts.conflicts >= 1


@pytest.mark.parametrize("room_kb", [0, 10, 1_000])
async def test_two_writers_of_one_shelf_apply_each_action_once(shelves: Libraries, room_kb: int) -> None:
    """Both read the same partition, as after a theft that one has not noticed; their writes come in any order."""
    capacity = TreeCapacity(root=2_000, root_busy=2_000, inner=2_000, leaf=2_000)
    shelf = f"both-{room_kb}"
    events = [played(f"{shelf}-{number % 50}", f"song-{number % 7}", number) for number in range(1_500)]
    actions = actions_of(events)

    async def write(step: int) -> int:
        store = ShelfStore(shelves.container, room_kb, capacity)
        for start in range(0, len(actions), step):
            await store.apply(shelf, 2, actions[start : start + step])
        return store.counts.conflicts

    conflicts = await asyncio.gather(write(50), write(70))
    assert sum(conflicts) > 0
    nodes = [node for node in await shelves.nodes() if node.shelf == shelf]
    assert len(nodes) > 17
    stored = [action.position for node in nodes for run in node.runs for action in decode_run(run)]
    assert sorted(stored) == list(range(1_500))


async def test_a_shelf_that_is_cached_needs_no_reading(shelves: Libraries) -> None:
    store = ShelfStore(shelves.container, room_kb=1_000)
    actions = actions_of([played("hot", f"song-{number}", number) for number in range(6)])
    for number in range(5):
        await store.apply("hot", 2, actions[number : number + 1])
    # A root that was not there has no children that would have to be looked for.
    assert (store.counts.reads, store.counts.writes) == (1, 5)
    other = ShelfStore(shelves.container, room_kb=0)
    await other.apply("hot", 2, actions)
    assert (other.counts.reads, other.counts.writes) == (1, 1)
    await other.apply("hot", 2, actions)
    assert (other.counts.reads, other.counts.writes) == (1, 1)


async def test_a_flush_does_not_bring_its_documents_back(shelves: Libraries, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are up to 1.5 MB, of each shelf in each second."""
    results: list[dict[str, Any]] = []
    write = shelves.container.execute_item_batch

    async def write_and_see(*given: Any, **options: Any) -> CosmosList:
        found = await write(*given, **options)
        results.extend(found)
        return found

    monkeypatch.setattr(shelves.container, "execute_item_batch", write_and_see)
    store = ShelfStore(shelves.container, 1_000, TreeCapacity(root=500, root_busy=500, inner=2_000, leaf=2_000))
    await store.apply("large", 2, actions_of([played(f"large-{number}", "song-1", number) for number in range(200)]))
    assert len(results) == store.counts.documents > 2
    assert all(one["eTag"] and "resourceBody" not in one for one in results)


async def test_a_node_that_is_gone_is_told_and_nothing_is_written_over_it(shelves: Libraries) -> None:
    """Neither deleted by hand, nor read as it was before its parent's last push, does a node count as empty."""
    capacity = TreeCapacity(root=500, root_busy=500, inner=2_000, leaf=2_000)
    actions = actions_of([played(f"gone-{number}", "song-1", number) for number in range(400)])
    await ShelfStore(shelves.container, 1_000, capacity).apply("gone", 2, actions[:200])
    nodes = [node for node in await shelves.nodes() if node.shelf == "gone"]
    for node in nodes:
        if len(node.id) == 1:
            document = {**msgspec.to_builtins(node), "received": 0}
            await shelves.container.upsert_item(document)
    with pytest.raises(CosmosHttpResponseError, match=TORN):
        await ShelfStore(shelves.container, 1_000, capacity).apply("gone", 2, actions)
    for node in nodes:
        if len(node.id) == 1:
            await shelves.container.delete_item(node.id, "gone")
    with pytest.raises(CosmosHttpResponseError, match=TORN):
        await ShelfStore(shelves.container, 1_000, capacity).apply("gone", 2, actions)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"runs": ["/w=="]}, "format version 255, and this program reads version 1"),
        ({"runs": ["AAAA"]}, "format version 0"),
        ({"pushed": 7}, "document '.*' can't be understood"),
    ],
)
@pytest.mark.parametrize("node_id", ["root", "child"])
async def test_a_node_that_cannot_be_read_is_told_and_waited_for(
    shelves: Libraries, node_id: str, change: dict[str, object], told: str
) -> None:
    """Nothing is wrong with the actions, so none of them may be parked: the error is one that is tried again."""
    capacity = TreeCapacity(root=500, root_busy=500, inner=2_000, leaf=2_000)
    shelf = f"unread-{node_id}-{told[:4]}-{len(told)}"
    actions = actions_of([played(f"unread-{number}", "song-1", number) for number in range(400)])
    await ShelfStore(shelves.container, 1_000, capacity).apply(shelf, 2, actions[:200])
    nodes = [node for node in await shelves.nodes() if node.shelf == shelf]
    damaged = [node for node in nodes if (node.id == ROOT if node_id == "root" else len(node.id) == 1)]
    for node in damaged:
        await shelves.container.upsert_item({**msgspec.to_builtins(node), **change})
    smaller = TreeCapacity(root=500, root_busy=500, inner=100, leaf=100)
    with pytest.raises(CosmosHttpResponseError, match=f"shelf {shelf}: .*{told}") as raised:
        await ShelfStore(shelves.container, 1_000, smaller).apply(shelf, 2, actions)
    for node in damaged:
        await shelves.container.delete_item(node.id, shelf)
    assert is_transient(raised.value)


async def _holds(part: LibraryPartitionProcessor) -> bool:
    return part.waiting > 0


def _rows(found: dict[str, Shelf], user_id: str) -> dict[str, Row]:
    return found[user_id].rows


async def _has(hub: Libraries, user_id: str) -> bool:
    return user_id in await hub.all()
