"""The trending worker is killed again and again while events come in; nothing is missing and nothing is there twice.

Bad records of every kind come between the good ones, and each is parked once.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from azure.cosmos.aio import ContainerProxy
from azure.eventhub import EventData

from songline.audit import chart_reference as reference
from songline.audit.chart_check import lasting, lines, minute
from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import CloudSettings
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS
from songline.schemas.documents import Chart
from songline.schemas.envelope import Event, encode
from tests.support.bad_bytes import BAD_RECORDS
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import (
    TrendingWorker,
    current,
    make_containers,
    one_chart,
    parked_records,
    read_hub,
    told_apart,
)

EVENTS = 100_000
KILLS = 3
PARTITIONS = 4
WORLD = "top:1h:global"


async def test_charts_equal_the_reference_after_three_kills(localcloud: LocalCloud, tmp_path: Path) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    worker = TrendingWorker(localcloud, tmp_path / "worker.log").start()
    try:
        async with cosmos.client(settings.cosmos) as client:
            container = cosmos.container(client, DATABASE, CHARTS)
            shares = list(batched(simulated(), EVENTS // (KILLS + 1)))
            async with EventPublisher(settings.eventhubs) as publisher:
                counted = 0
                for turn, share in enumerate(shares[:-1]):
                    await publish(publisher, share)
                    await publish_bad(settings, list(BAD_RECORDS.values())[turn::KILLS])
                    counted = await wait_for_async(partial(moved, container, counted), "more counted events", 240)
                    worker.kill()
                    worker.start()
                await publish(publisher, shares[-1])
            records = sorted(await read_hub(settings), key=lambda place: place[:2])
            log, bad = told_apart(records)
            ends = {str(partition): offset for partition, offset, _ in records}
            keys = lasting(reference.charts(log, datetime.now(UTC)))
            charts = await wait_for_async(partial(complete, container, ends, keys), f"every chart at {ends}", 60)
    finally:
        worker.stop()
    assert len(log) == EVENTS
    assert len(bad) == len(BAD_RECORDS)
    assert [one.id for one in await parked_records(settings)] == bad
    expected = {at: reference.charts(log, at) for at in {minute(chart) for chart in charts.values()}}
    for key, chart in charts.items():
        assert lines(chart) == expected[minute(chart)].get(key, []), (key, chart.as_of)


def simulated(count: int = EVENTS) -> list[Event]:
    """Listeners of the last twenty minutes, with duplicates, late events, uploads, removals, likes and unlikes."""
    start = datetime.now(UTC) - timedelta(minutes=20)
    config = SimulationConfig(rate=count / 1_200, listeners=4_000, songs=800, duplicates=0.05, late=0.03, uploads=0.01)
    return [event for _, event in islice(Simulation(7, start, config), count)]


def batched(events: list[Event], size: int) -> Iterator[list[Event]]:
    return (events[start : start + size] for start in range(0, len(events), size))


async def publish(publisher: EventPublisher, events: list[Event]) -> None:
    await asyncio.gather(*[await publisher.submit(encode(event), event.partition_key) for event in events])


async def moved(container: ContainerProxy, known: int) -> int:
    """How many events the global chart counts, once that is more than `known`."""
    chart = await one_chart(container, WORLD)
    counted = sum(offset + 1 for offset in chart.position.values()) if chart is not None else 0
    return counted if counted > known else 0


async def publish_bad(settings: CloudSettings, bodies: list[bytes]) -> None:
    async with eventhubs.producer(settings.eventhubs, MUSIC_EVENTS) as producer:
        for number, body in enumerate(bodies):
            await producer.send_batch([EventData(body)], partition_id=str(number % PARTITIONS))


async def complete(container: ContainerProxy, ends: dict[str, int], keys: set[str]) -> dict[str, Chart]:
    """All charts, once all of `keys` are there and every chart has counted all."""
    charts = await current(container)
    return charts if keys <= set(charts) and all(chart.position == ends for chart in charts.values()) else {}
