"""Two versions are compared at the position that both have reached, whatever shapes they are stored in."""

import random
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.settings import read_cosmos
from songline.processors.catalog.fold import parse_songs
from songline.processors.catalog.song_store import SongStore
from songline.processors.history.charts.chart_documents import STATE
from songline.processors.history.compare.compare import ComparedVersion, compare
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.library.tree import TreeCapacity
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.trending.state_version import StateVersion
from songline.schemas.channels import ATTEMPTS, CHARTS, DATABASE, LIBRARY, SONGS
from songline.schemas.library.action import UserAction
from songline.schemas.library.shelf import shelf_key, shelf_of
from songline.schemas.progress import PROGRESS, Freshness, Watermark, WatermarkDocument
from songline.schemas.projections import container_of
from tests.integration.catalog.test_worker import NOON, uploaded
from tests.support.localcloud import LocalCloud

SMALL = TreeCapacity(root=400, root_busy=600, inner=500, leaf=300)
"""Trees are deep with a few hundred actions."""


@pytest.fixture
async def account(song_cloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(read_cosmos(song_cloud.environment)) as client:
        yield client


async def container(account: CosmosClient, name: str, key: str) -> ContainerProxy:
    await cosmos.ensure(account, DATABASE, (Container(name, key, ()),))
    return cosmos.container(account, DATABASE, name)


def invented(seed: int, count: int) -> list[UserAction]:
    chance = random.Random(seed)
    return [
        UserAction(
            user_id=f"user-{chance.choice([0, 0, 0, *range(40)])}",
            song_id=f"song-{chance.randrange(60)}",
            at_us=1_700_000_000_000_000 + number,
            mark=number,
            kind="listen",
            partition=2,
            position=number,
            ms_played=1_000,
        )
        for number in range(count)
    ]


async def libraries(
    account: CosmosClient, version: int, shelves: int, actions: Sequence[UserAction], capacity: TreeCapacity
) -> ComparedVersion:
    found = await container(account, f"compared-{version}-{len(actions)}", "/shelf")
    store = ShelfStore(found, 1_000, capacity)
    for start in range(0, len(actions), 60):
        by_shelf: dict[int, list[UserAction]] = {}
        for action in actions[start : start + 60]:
            by_shelf.setdefault(shelf_of(action.user_id, shelves), []).append(action)
        for shelf, some in by_shelf.items():
            await store.apply(shelf_key(version, shelf), 2, some)
    return ComparedVersion(version, found, shelves, {"2": actions[-1].position})


async def test_libraries_are_compared_by_what_both_have_applied(account: CosmosClient) -> None:
    actions = invented(3, 500)
    first = await libraries(account, 1, 4, actions, SMALL)
    # It is further, on other shelves and in other nodes.
    second = await libraries(account, 2, 8, [*actions, *invented(4, 560)[500:]], TreeCapacity())
    users = {action.user_id for action in actions}
    found = await compare(LIBRARY, first, second)
    assert (found.equal, found.differing, found.missing) == (len(users), 0, {})
    assert (found.position, found.is_same_position) == ({"2": 499}, False)
    assert found.documents == {"1": len(users), "2": len(users)}

    lacking = [one for one in actions if one.user_id != "user-7" and one.position != 250]
    third = await libraries(account, 3, 4, lacking, SMALL)
    found = await compare(LIBRARY, first, third)
    assert (found.differing, found.missing, found.is_same_position) == (1, {"3": 1}, True)
    changed = actions[250].user_id
    assert {one.id for one in found.differences} == {changed, "user-7"}
    (detail,) = [one.detail for one in found.differences if one.id == changed]
    assert detail.startswith("heard: ")


async def test_songs_are_compared_document_by_document(account: CosmosClient) -> None:
    versions = []
    for version, number in ((1, 130), (2, 131)):
        songs = await container(account, f"compared-songs-{version}", "/id")
        bodies = [uploaded(f"song-{one}", "Other" if (version, one) == (2, 17) else "Title") for one in range(number)]
        batch = parse_songs(HubRecord(one, NOON, body) for one, body in enumerate(bodies))
        for song_id, facts in batch.facts.items():
            if (version, song_id) != (2, "song-40"):
                await SongStore(songs).apply(song_id, "1", facts)
        versions.append(ComparedVersion(version, songs, 0, {"1": number - 1}))
    found = await compare(SONGS, *versions)
    assert (found.equal, found.differing, found.missing, found.later) == (128, 1, {"2": 1}, 1)
    assert found.documents == {"1": 130, "2": 130}
    assert [one.id for one in found.differences] in (["song-17", "song-40"], ["song-40", "song-17"])
    assert msgspec.json.encode(found)


async def test_of_charts_what_a_rebuild_notes_for_itself_is_not_compared(account: CosmosClient) -> None:
    versions = []
    for version in (1, 2):
        charts = await container(account, f"compared-charts-{version}", "/chart")
        for number in range(230):
            await charts.upsert_item({"chart": f"top:1h:{number % 2}", "id": f"hour-{number}", "entries": [number]})
        if version == 2:
            await charts.upsert_item({"chart": STATE, "id": STATE, "hour": 7})
            await charts.upsert_item({"chart": "top:1h:1", "id": "hour-7", "entries": [8]})
        versions.append(ComparedVersion(version, charts, 0, {"1": 230}))
    found = await compare(CHARTS, *versions)
    assert (found.equal, found.differing, found.missing) == (229, 1, {})
    assert found.documents == {"1": 230, "2": 230}


async def test_of_charts_it_is_known_of_which_hub_they_are(account: CosmosClient) -> None:
    """What says how far they are has the positions alone; the hub's creation is noted beside the worker's state."""
    charts = await container(account, container_of(CHARTS, 7), "/chart")
    attempts = await container(account, ATTEMPTS, "/id")
    at = Freshness(as_of=NOON, complete_through=NOON, position={"0": 41, "1": -1})
    await charts.upsert_item({**msgspec.to_builtins(at), "id": PROGRESS, "chart": PROGRESS})
    noted = Watermark(position=30, through=NOON, created_at=NOON, generation=2, resets=3, lost=1)
    document = WatermarkDocument(id=StateVersion(7).positions, partitions={"0": noted})
    await attempts.upsert_item(msgspec.to_builtins(document))
    assert await VERSIONED[CHARTS].watermarks(account, 7) == {
        "0": msgspec.structs.replace(noted, position=41),
        "1": Watermark(position=-1, through=NOON),
    }
    assert await VERSIONED[CHARTS].watermarks(account, 8) == {}
