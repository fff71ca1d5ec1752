"""The worker as a process on localcloud: poison is parked, idle partitions stay fresh, two workers share, and one
outlives an outage."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaProducer
from azure.cosmos.aio import ContainerProxy

from songline.audit import chart_reference as reference
from songline.cloud import cosmos
from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS, PLAYS
from songline.schemas.documents import Chart
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import SongPlayed
from tests.support.localcloud import LocalCloud
from tests.support.trending import hours
from tests.support.waiting import wait_for_async
from tests.support.worker import (
    QUICK,
    TrendingWorker,
    make_containers,
    one_chart,
    parked_records,
    read_hub,
    shards_reached,
    song_days,
)

WORLD = "top:1h:global"
DEADLINE = 150.0
RARE = 400
"""Songs that one listener hears."""


async def test_poison_is_parked_and_the_partition_goes_on(localcloud: LocalCloud, tmp_path: Path) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    future = play(3, datetime.now(UTC) + timedelta(hours=2))
    newer = play(4).replace(b"song.played.v2", b"song.played.v9")
    await send(settings, [(0, play(1)), (0, b"no event"), (0, future), (0, newer), (0, play(2))])
    worker = TrendingWorker(localcloud, tmp_path / "worker.log").start()
    try:
        async with cosmos.client(settings.cosmos) as client:
            container = cosmos.container(client, DATABASE, CHARTS)
            chart = await until(container, lambda chart: chart.position.get("0") == 4, "offset 4")
            assert [(entry.song_id, entry.listens) for entry in chart.entries] == [("song-1", 2)]
            # Nothing comes, and yet the chart is told to be complete through later and later.
            through = chart.complete_through
            assert through is None or through > datetime.now(UTC) - timedelta(minutes=1)
            await until(container, lambda chart: later(chart, through), f"complete through after {through}")
        assert worker.stop() == 0, worker.said
    finally:
        worker.kill()
    parked = await parked_records(settings)
    assert [(one.id, one.readers["trending"].reason) for one in parked] == [
        ("music-events:0:1", "not-an-event"),
        ("music-events:0:2", "broken-contract"),
        ("music-events:0:3", "unknown-version"),
    ]
    assert parked[0].body_beginning == b"no event"


async def test_a_second_worker_takes_over_and_nothing_is_counted_twice_or_left_unwritten(
    localcloud: LocalCloud, tmp_path: Path
) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    # With so few writes nearly all songs' days still wait when the first one is killed.
    first = TrendingWorker(localcloud, tmp_path / "first.log", {**QUICK, "SONGLINE_TRENDING_PLAYS": "1"}).start()
    second = TrendingWorker(localcloud, tmp_path / "second.log", {**QUICK, "SONGLINE_TRENDING_PLAYS": "1000"})
    try:
        async with cosmos.client(settings.cosmos) as client:
            container, plays = (cosmos.container(client, DATABASE, name) for name in (CHARTS, PLAYS))
            # One time for all: in a new hour everybody may act again.
            now = datetime.now(UTC)
            await send(settings, [(number % 4, play(number, now, f"rare-{number}")) for number in range(RARE)])
            await send(settings, [(number % 4, play(number, now)) for number in range(100)])
            await until(container, listens(100), "100 listens")
            assert len(await song_days(plays)) < RARE, "most of them still wait"
            second.start()
            await wait_for_async(second.is_ready, "the second worker to be ready", DEADLINE)
            # The same hundred again, and a hundred new ones.
            await send(settings, [(number % 4, play(number, now)) for number in range(200)])
            await until(container, listens(200), "200 listens")
            first.kill()
            await send(settings, [(number % 4, play(number, now)) for number in range(300)])
            # A shard counts before the last of them has said so: the position is what all of them have.
            await until(container, listens(300), "300 listens")
            ends = dict.fromkeys("0123", (RARE + 100 + 200 + 300) // 4 - 1)
            await until(container, lambda chart: chart.position == ends, f"all positions at {ends}")
            await wait_for_async(partial(shards_reached, plays, ends), f"all songs' days at {ends}", DEADLINE)
            log = [(partition, offset, decode(body)) for partition, offset, body in await read_hub(settings)]
            assert hours(await song_days(plays)) == reference.plays(log)
    finally:
        first.stop()
        second.stop()


async def test_the_worker_goes_on_when_the_namespace_was_away(localcloud: LocalCloud, tmp_path: Path) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    worker = TrendingWorker(localcloud, tmp_path / "worker.log").start()
    try:
        async with cosmos.client(settings.cosmos) as client:
            container = cosmos.container(client, DATABASE, CHARTS)
            now = datetime.now(UTC)
            await send(settings, [(number % 4, play(number, now)) for number in range(100)])
            await until(container, listens(100), "100 listens")
            localcloud.restart()
            await send(settings, [(number % 4, play(number, now)) for number in range(200)])
            await until(container, listens(200), "200 listens")
        assert worker.running, worker.said
    finally:
        worker.stop()


def play(number: int, time: datetime | None = None, song: str = "song-1") -> bytes:
    data = SongPlayed(user_id=f"user-{number}", song_id=song, played_ms=30_000, duration_ms=60_000, region="DE")
    return encode(Event(id=f"play-{number}", source="/tests", time=time or datetime.now(UTC), data=data))


async def send(settings: CloudSettings, bodies: list[tuple[int, bytes]]) -> None:
    producer = AIOKafkaProducer(**client_options(settings.eventhubs))
    await producer.start()
    try:
        for partition, body in bodies:
            await producer.send(MUSIC_EVENTS, body, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def until(container: ContainerProxy, right: Callable[[Chart], bool], what: str) -> Chart:
    """The global chart, once it is right."""

    async def found() -> Chart | None:
        chart = await one_chart(container, WORLD)
        return chart if chart is not None and right(chart) else None

    chart = await wait_for_async(found, what, DEADLINE)
    assert chart is not None
    return chart


def listens(count: int) -> Callable[[Chart], bool]:
    def right(chart: Chart) -> bool:
        assert all(entry.listens <= count for entry in chart.entries), "something was counted twice"
        return bool(chart.entries) and chart.entries[0].listens == count

    return right


def later(chart: Chart, than: datetime | None) -> bool:
    return than is None or (chart.complete_through is not None and chart.complete_through > than)
