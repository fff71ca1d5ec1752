"""Charts on their way into Cosmos DB: what an hour leaves behind, and what the next one is compared with."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.trending.merge.chart_writer import ChartWriter
from songline.processors.trending.merge.hour_merges import HourMerge
from songline.processors.trending.merge.snapshot_writer import SnapshotWriter
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.spans import HOUR_MS
from songline.processors.trending.watermark import ShardWatermark, position_at
from songline.schemas.channels import DATABASE
from songline.schemas.documents import CURRENT, GLOBAL, WINDOWS, Window, chart_key
from songline.schemas.moments import milliseconds
from songline.schemas.policy import V1
from songline.schemas.progress import PROGRESS
from tests.support.localcloud import LocalCloud

KEY = chart_key("top", "1h", GLOBAL)
TWO = datetime(2026, 11, 22, 14, tzinfo=UTC)


@pytest.fixture
async def container(shared_localcloud: LocalCloud) -> AsyncIterator[ContainerProxy]:
    place = new_place()
    async with cosmos.client(shared_localcloud.settings().cosmos) as client:
        await cosmos.ensure(client, DATABASE, (place,))
        yield cosmos.container(client, DATABASE, place.name)
        await client.get_database_client(DATABASE).delete_container(place.name)


async def test_the_first_chart_of_an_hour_is_kept_and_the_next_hour_is_compared_with_it(
    container: ContainerProxy,
) -> None:
    sink, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    say(merge, TWO + timedelta(minutes=1), ["song-a", "song-b"])
    await sink.write(merge)
    assert await ranks(container, CURRENT) == {"song-a": (1, None), "song-b": (2, None)}
    assert (await read(container, CURRENT))["comparedWith"] is None
    say(merge, TWO + timedelta(minutes=59), ["song-b", "song-a"])
    await sink.write(merge)
    assert await ranks(container, CURRENT) == {"song-b": (1, None), "song-a": (2, None)}
    assert await ranks(container, "2026-11-22T14") == {"song-a": (1, None), "song-b": (2, None)}
    say(merge, TWO + timedelta(hours=1), ["song-c", "song-b"])
    await sink.write(merge)
    assert await ranks(container, CURRENT) == {"song-c": (1, None), "song-b": (2, 2)}
    assert await ranks(container, "2026-11-22T15") == {"song-c": (1, None), "song-b": (2, 2)}
    assert (await read(container, CURRENT))["comparedWith"] == "2026-11-22T14:01:00Z"


async def test_an_hours_first_moment_replaces_the_first_chart_of_the_hour(container: ContainerProxy) -> None:
    sink, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    scopes = (GLOBAL, "region:DE")
    for minute, songs in ((-59, ["song-a"]), (1, ["song-a", "song-b"]), (61, ["song-b", "song-c"])):
        say(merge, TWO + timedelta(minutes=minute), songs, scopes=scopes, windows=("1h", "7d"))
        await sink.write(merge)
    hour = HourMerge(milliseconds(TWO) // HOUR_MS + 1, 0, 1, V1)
    say(hour.merge, TWO + timedelta(hours=1), ["song-b", "song-a"], position=7, windows=("1h", "7d"))
    # As many calls as it takes: each may write one, and remove one.
    sink.snapshots = SnapshotWriter(container, lambda: 1)
    written = [await sink.snapshots.write(hour) for _ in range(2)]
    assert written == [False, True]

    assert await ranks(container, "2026-11-22T15") == {"song-b": (1, 2), "song-a": (2, 1)}
    found = await read(container, "2026-11-22T15")
    assert (found["asOf"], found["comparedWith"]) == ("2026-11-22T15:00:00Z", "2026-11-22T14:00:00Z")
    assert found["position"] == {"0": 7}
    query = "SELECT VALUE c.chart FROM c WHERE c.id = '2026-11-22T15'"
    left = {str(key) async for key in container.query_items(query)}
    assert left == {KEY, chart_key("top", "7d", GLOBAL)}, "no region had a song at that moment"

    say(merge, TWO + timedelta(minutes=62), ["song-b"], scopes=("region:FR",))
    await sink.write(merge)
    assert {str(key) async for key in container.query_items(query)} == left, "what comes later is of no snapshot"


async def test_nothing_is_compared_with_the_hour_in_which_the_first_event_came(container: ContainerProxy) -> None:
    sink, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    say(merge, TWO + timedelta(minutes=1), ["song-a"], windows=("1h", "7d"))
    await sink.write(merge)
    for number, compared_with in ((1, None), (2, "2026-11-22T15:00:00Z")):
        hour = HourMerge(milliseconds(TWO) // HOUR_MS + number, 0, 1, V1)
        say(hour.merge, TWO + timedelta(hours=number), ["song-a"], windows=("1h", "7d"))
        assert await sink.snapshots.write(hour)
        found = await read(container, f"2026-11-22T{14 + number}")
        assert found["comparedWith"] == compared_with
        assert found["asOf"] == f"2026-11-22T{14 + number}:00:00Z"


async def test_a_new_owner_goes_on_with_the_hour_that_another_began(container: ContainerProxy) -> None:
    before, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    for minute, songs in ((0, ["song-a", "song-b"]), (60, ["song-b", "song-a"])):
        say(merge, TWO + timedelta(minutes=minute), songs)
        await before.write(merge)
    after, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    # After a pause of hours the newest snapshot is the one to compare with, however old it is.
    say(merge, TWO + timedelta(hours=1, minutes=5), ["song-a"])
    await after.write(merge)
    assert await ranks(container, CURRENT) == {"song-a": (1, 1)}
    assert await ranks(container, "2026-11-22T15") == {"song-b": (1, 2), "song-a": (2, 1)}
    say(merge, TWO + timedelta(hours=4), ["song-a"])
    await after.write(merge)
    assert await ranks(container, CURRENT) == {"song-a": (1, 2)}


async def test_an_owner_that_was_stopped_writes_over_no_later_chart(container: ContainerProxy) -> None:
    """It goes on with what it had, and so does the new owner, whatever comes first."""
    stopped, late = ChartWriter(container, writes=lambda: 10), Merge(1)
    say(late, TWO, ["song-a"])
    await stopped.write(late)
    owner, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    say(merge, TWO + timedelta(minutes=50), ["song-b"])
    await owner.write(merge)
    for minute in (1, 2):
        say(late, TWO + timedelta(minutes=minute), ["song-a", "song-c"])
        await stopped.write(late)
        assert await ranks(container, CURRENT) == {"song-b": (1, None)}
    assert not in_trouble(stopped)
    say(merge, TWO + timedelta(minutes=51), ["song-d"])
    await owner.write(merge)
    assert await ranks(container, CURRENT) == {"song-d": (1, None)}


@pytest.mark.parametrize("what", ["earlier", "damaged", "deleted"])
async def test_what_stands_in_the_place_of_a_chart_is_replaced(container: ContainerProxy, what: str) -> None:
    owner, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    say(merge, TWO, ["song-a"])
    await owner.write(merge)
    if what == "deleted":
        await container.delete_item(CURRENT, KEY)
    else:
        found = await read(container, CURRENT)
        await container.upsert_item(found | ({"asOf": "2026-11-22T13:00:00Z"} if what == "earlier" else {"asOf": 7}))
    say(merge, TWO + timedelta(minutes=1), ["song-b"])
    await owner.write(merge)
    assert await ranks(container, CURRENT) == {"song-b": (1, None)}


async def test_freshness_is_written_though_no_chart_changes(container: ContainerProxy) -> None:
    sink, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    say(merge, TWO, ["song-a"], position=3)
    await sink.write(merge)
    assert await told(container) == ("2026-11-22T14:00:00Z", {"0": 3})
    nothing_new(merge, TWO + timedelta(seconds=30), position=7)
    await sink.write(merge)
    assert await told(container) == ("2026-11-22T14:00:30Z", {"0": 7})
    assert (await read(container, CURRENT))["asOf"] == "2026-11-22T14:00:00Z"


async def test_a_chart_that_waits_to_be_written_holds_back_the_freshness(container: ContainerProxy) -> None:
    sink, merge = ChartWriter(container, writes=lambda: 1), Merge(1)
    say(merge, TWO, ["song-a"], position=3)
    await sink.write(merge)
    second = TWO + timedelta(seconds=1)
    say(merge, second, ["song-b"], position=4, scopes=(GLOBAL, "region:DE", "region:FR"))
    await sink.write(merge)
    nothing_new(merge, TWO + timedelta(seconds=2), position=5)
    await sink.write(merge)
    # What is stored of France is what was before position 4.
    assert await told(container) == ("2026-11-22T14:00:00Z", {"0": 3})
    await sink.write(merge)
    assert await told(container) == ("2026-11-22T14:00:02Z", {"0": 5})


@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_no_chart_waits_for_ever(container: ContainerProxy, writes: int) -> None:
    """The global charts, which change all the time, leave half of the writes to others."""
    sink, merge = ChartWriter(container, writes=lambda: writes), Merge(1)
    scopes = (GLOBAL, "region:DE", "region:FR")
    for second in range(8):
        at = TWO + timedelta(seconds=second)
        say(merge, at, [f"song-{second}"], scopes=scopes, windows=WINDOWS)
        await sink.write(merge)
    for region in scopes[1:]:
        await container.read_item(CURRENT, chart_key("top", "1h", region))


async def test_charts_of_regions_that_wait_are_written_in_a_round(container: ContainerProxy) -> None:
    waited: list[int] = []

    def scoped_writes(waiting: int) -> int:
        waited.append(waiting)
        return 1

    sink, merge = ChartWriter(container, writes=lambda: 10, scoped_writes=scoped_writes), Merge(1)
    say(merge, TWO, ["song-a"], scopes=(GLOBAL, "region:DE", "region:FR", "region:SE"))
    for _ in range(4):
        await sink.write(merge)
    assert waited == [3, 2, 1, 0]
    for region in ("region:DE", "region:FR", "region:SE"):
        await container.read_item(CURRENT, chart_key("top", "1h", region))


async def test_what_could_not_be_written_is_written_later_as_it_is_by_then(shared_localcloud: LocalCloud) -> None:
    async with cosmos.client(shared_localcloud.settings().cosmos) as client:
        await cosmos.ensure(client, DATABASE, ())
        place = new_place()
        container = cosmos.container(client, DATABASE, place.name)
        sink, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
        say(merge, TWO, ["song-a"])
        await sink.write(merge)
        await cosmos.ensure(client, DATABASE, (place,))
        say(merge, TWO + timedelta(seconds=1), ["song-b"])
        await sink.write(merge)
        assert await ranks(container, CURRENT) == {"song-b": (1, None)}
        await client.get_database_client(DATABASE).delete_container(place.name)


def in_trouble(sink: ChartWriter) -> bool:
    return sink.last_error is not None


def new_place() -> Container:
    return Container(f"charts-{uuid4().hex}", partition_key="/chart", indexed=("/asOf/?",))


def say(
    merge: Merge,
    at: datetime,
    songs: list[str],
    position: int = 0,
    scopes: tuple[str, ...] = (GLOBAL,),
    windows: tuple[Window, ...] = ("1h",),
) -> None:
    """A whole report: these songs in this order, in these scopes and windows."""
    count = len(songs)
    top = TopK(songs, [count - place for place in range(count)], [0] * count, [count - place for place in range(count)])
    known = [SongLabel(song, None, None, None) for song in songs]
    tops = {chart_key("top", window, scope): top for scope in scopes for window in windows}
    merge.apply(ReportPart(0, True, True, known, tops, ShardWatermark(milliseconds(at), {0: position}, {0: None})))


def nothing_new(merge: Merge, at: datetime, position: int) -> None:
    merge.apply(ReportPart(0, True, False, [], {}, ShardWatermark(milliseconds(at), {0: position}, {0: None})))


async def told(container: ContainerProxy) -> tuple[str, dict[str, int]]:
    found = await container.read_item(PROGRESS, PROGRESS)
    return found["asOf"], found["position"]


async def read(container: ContainerProxy, item: str) -> dict[str, object]:
    return dict(await container.read_item(item, KEY))


async def ranks(container: ContainerProxy, item: str) -> dict[str, tuple[int, int | None]]:
    """Song to its rank and its rank before."""
    found = await container.read_item(item, KEY)
    return {entry["songId"]: (entry["rank"], entry["previousRank"]) for entry in found["entries"]}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_chart_that_is_refused_costs_no_other_and_is_named(container: ContainerProxy) -> None:
    sink, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    large, region = "x" * 3_000_000, chart_key("top", "1h", "region:DE")
    songs = [SongLabel("song-a", None, None, None), SongLabel("song-b", large, None, None)]
    tops = {KEY: TopK(["song-a"], [1], [0], [1]), region: TopK(["song-b"], [1], [0], [1])}
    merge.apply(ReportPart(0, True, True, songs, tops, ShardWatermark(milliseconds(TWO), {0: 3}, {0: None})))
    await sink.write(merge)
    assert await ranks(container, CURRENT) == {"song-a": (1, None)}
    assert await told(container) == ("2026-11-22T14:00:00Z", {"0": 3})
    assert (await container.read_item(PROGRESS, PROGRESS))["refused"] == [region], "it is not as fresh as the others"
    assert list(sink.refused) == [region]
    assert fault_of(sink.refused[region]) is ServiceFault.ITEM_REFUSED
    assert not in_trouble(sink)
    nothing_new(merge, TWO + timedelta(seconds=1), position=4)
    await sink.write(merge)
    assert (await container.read_item(PROGRESS, PROGRESS))["refused"] == [region]
    say(merge, TWO + timedelta(seconds=2), ["song-c"], scopes=("region:DE",))
    await sink.write(merge)
    assert not sink.refused
    assert (await container.read_item(PROGRESS, PROGRESS))["refused"] == []


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_snapshot_that_is_refused_costs_no_other_and_is_named(container: ContainerProxy) -> None:
    writer, region = SnapshotWriter(container, lambda: 10), chart_key("top", "1h", "region:DE")
    songs = [SongLabel("song-a", None, None, None), SongLabel("song-b", "x" * 3_000_000, None, None)]
    tops = {KEY: TopK(["song-a"], [1], [0], [1]), region: TopK(["song-b"], [1], [0], [1])}
    hour = HourMerge(milliseconds(TWO) // HOUR_MS, 0, 1, V1)
    hour.merge.apply(ReportPart(0, True, True, songs, tops, ShardWatermark(milliseconds(TWO), {0: 3}, {0: None})))
    assert await writer.write(hour)
    assert await ranks(container, "2026-11-22T14") == {"song-a": (1, None)}
    assert list(writer.refused) == [region]
    assert fault_of(writer.refused[region]) is ServiceFault.ITEM_REFUSED
    assert writer.last_error is None

    later = HourMerge(milliseconds(TWO) // HOUR_MS + 1, 0, 1, V1)
    say(later.merge, TWO + timedelta(hours=1), ["song-c"], scopes=(GLOBAL, "region:DE"))
    assert await writer.write(later)
    assert not writer.refused


async def test_a_failed_write_is_reported_until_one_succeeds(shared_localcloud: LocalCloud) -> None:
    async with cosmos.client(shared_localcloud.settings().cosmos) as client:
        await cosmos.ensure(client, DATABASE, ())
        place = new_place()
        sink, merge = ChartWriter(cosmos.container(client, DATABASE, place.name), writes=lambda: 10), Merge(1)
        say(merge, TWO, ["song-a"])
        await sink.write(merge)
        assert in_trouble(sink)
        await cosmos.ensure(client, DATABASE, (place,))
        await sink.write(merge)
        assert not in_trouble(sink)
        await client.get_database_client(DATABASE).delete_container(place.name)


async def test_a_snapshot_that_is_none_of_ours_is_not_compared_with(container: ContainerProxy) -> None:
    await container.create_item({"id": "2026-11-22T13", "chart": KEY, "entries": "none of ours"})
    sink, merge = ChartWriter(container, writes=lambda: 10), Merge(1)
    say(merge, TWO, ["song-a"])
    await sink.write(merge)
    assert await ranks(container, CURRENT) == {"song-a": (1, None)}


async def test_a_chart_that_waits_claims_nothing_of_a_hub_that_is_gone(container: ContainerProxy) -> None:
    sink, merge = ChartWriter(container, writes=lambda: 1), Merge(1)
    say(merge, TWO, ["song-a"], position=39)
    await sink.write(merge)
    second = TWO + timedelta(seconds=1)
    say(merge, second, ["song-b"], position=position_at(1, -1), scopes=(GLOBAL, "region:DE", "region:FR"))
    await sink.write(merge)
    assert (await told(container))[1] == {"0": -1}
