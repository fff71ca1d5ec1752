"""Hubs that grow, and hubs that are made anew under their name: what each kind of client sees."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from azure.eventhub import EventData
from azure.eventhub.exceptions import ConnectError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import NewPartitions as ConfluentNewPartitions

from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.eventhubs.conftest import write_config
from localcloud_tests.integration.eventhubs.hub import DEADLINE, Hub, bodies
from localcloud_tests.support.kafka import aiokafka_options, confluent_options


async def properties(hub: Hub) -> tuple[list[str], datetime]:
    """The partition ids, and when the hub was created."""
    async with hub.producer() as producer:
        about = await producer.get_eventhub_properties()
    described = hub.cloud.control("GET", f"/hubs/{hub.name}")
    assert len(described["partitions"]) == len(about["partition_ids"])
    assert described["created_at_ms"] == round(about["created_at"].timestamp() * 1000)
    return about["partition_ids"], about["created_at"]


def shape(hub: Hub) -> tuple[int, int]:
    """The number of partitions, and when the hub was created (Unix ms), by the control endpoint."""
    described = hub.cloud.control("GET", f"/hubs/{hub.name}")
    return len(described["partitions"]), described["created_at_ms"]


async def test_open_clients_go_on_and_new_ones_see_the_partitions_that_are_added(hub: Hub) -> None:
    """The SDK's clients know the partitions that they first saw for as long as they live."""
    _, created_at = await properties(hub)
    async with hub.producer() as producer:
        await producer.send_batch([EventData("before")], partition_id="0")
        await producer.send_batch([EventData("without a key")])
        await asyncio.to_thread(hub.cloud.grow_hub, hub.name, 6)
        with pytest.raises(ConnectError, match="Invalid partition 5"):
            await producer.send_batch([EventData("after")], partition_id="5")
        await hub.send("after", partition_id="5")
        # Over the link to the hub, events without a key come to the new partitions too.
        for number in range(12):
            await producer.send_batch([EventData(f"turn {number}")])
    events = [(partition, event.body_as_str()) for partition, event in await hub.receive(15)]
    assert {("0", "before"), ("5", "after")} <= set(events)
    assert {partition for partition, body in events if body.startswith("turn")} == set("012345")
    assert await properties(hub) == (list("012345"), created_at)


@pytest.mark.parametrize("count", [3, 0, 2001, "5", None])
async def test_the_control_endpoint_refuses_a_count_with_a_sentence(hub: Hub, count: object) -> None:
    if count is None:
        with pytest.raises(ValueError, match="is not declared: expected how many partitions"):
            hub.cloud.control("PUT", "/hubs/undeclared", {})
        return
    with pytest.raises(ValueError, match=r"can grow, but|expected"):
        hub.cloud.control("PUT", f"/hubs/{hub.name}", {"partitions": count})
    assert len(hub.cloud.control("GET", f"/hubs/{hub.name}")["partitions"]) == 4


async def test_an_admin_client_over_kafka_grows_a_hub(hub: Hub) -> None:
    _, created_at_ms = shape(hub)
    options = aiokafka_options(hub.cloud.kafka_bootstrap)
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        async with AIOKafkaProducer(**options) as producer:
            assert await producer.partitions_for(hub.name) == {0, 1, 2, 3}
            await admin.create_partitions({hub.name: NewPartitions(total_count=6)})
            assert len((await admin.describe_topics([hub.name]))[0]["partitions"]) == 6
            await producer.client.force_metadata_update()
            assert (await producer.send_and_wait(hub.name, b"new", partition=5)).offset == 0
        # Microsoft's clients see the same.
        assert shape(hub) == (6, created_at_ms)
        assert bodies(await hub.receive(1, partition_id="5")) == ["new"]
    finally:
        await admin.close()


def test_what_is_no_growth_is_refused_over_kafka(hub: Hub) -> None:
    admin = AdminClient(confluent_options(hub.cloud.kafka_bootstrap))

    def grow(name: str, count: int, **options: Any) -> None:
        admin.create_partitions([ConfluentNewPartitions(name, count)], **options)[name].result(DEADLINE)

    for name, count, error in (
        (hub.name, 4, "INVALID_PARTITIONS"),
        (hub.name, 3, "INVALID_PARTITIONS"),
        (hub.name, 33, "INVALID_PARTITIONS"),
        ("nothing", 5, "UNKNOWN_TOPIC_OR_PART"),
    ):
        with pytest.raises(KafkaException) as refused:
            grow(name, count)
        assert refused.value.args[0].name() == error
        if error == "INVALID_PARTITIONS":
            assert "a hub " in refused.value.args[0].str()
    grow(hub.name, 5, validate_only=True)
    assert len(hub.cloud.control("GET", f"/hubs/{hub.name}")["partitions"]) == 4
    grow(hub.name, 5)
    assert len(admin.list_topics(hub.name, timeout=DEADLINE).topics[hub.name].partitions) == 5


class Committed:
    """What the group `readers` has committed of the hub's partition 0."""

    def __init__(self, hub: Hub) -> None:
        self._options = aiokafka_options(hub.cloud.kafka_bootstrap) | {
            "group_id": "readers",
            "enable_auto_commit": False,
        }
        self._place = TopicPartition(hub.name, 0)

    async def write(self, offset: int) -> None:
        async with AIOKafkaConsumer(**self._options) as consumer:
            consumer.assign([self._place])
            await consumer.commit({self._place: offset})

    async def read(self) -> int | None:
        async with AIOKafkaConsumer(**self._options) as consumer:
            offset: int | None = await consumer.committed(self._place)
            return offset


async def test_what_is_true_of_a_hub_outlives_restarts(
    start_localcloud: Callable[..., LocalCloudProcess], tmp_path: Path
) -> None:
    """One hub grows, while it is served and by its declaration; the folder of another is removed."""
    config = write_config(tmp_path / "Config.json", ["growing", "anew"])
    cloud = start_localcloud("--config", str(config))
    growing, anew = Hub(cloud, "growing"), Hub(cloud, "anew")
    before = shape(growing)[1], shape(anew)[1]
    cloud.grow_hub("growing", 6)
    await growing.send("kept", partition_id="5")
    await anew.send("gone", partition_id="0")
    for hub in (growing, anew):
        await Committed(hub).write(1)
    cloud.kill()
    shutil.rmtree(cloud.data / "hubs" / "hubs" / "anew")
    write_config(config, ["growing"], 8)
    cloud.start()
    assert shape(growing) == (8, before[0])
    assert bodies(await growing.receive(1)) == ["kept"]
    with pytest.raises(ValueError, match="no event hub named 'anew'"):
        cloud.control("GET", "/hubs/anew")
    cloud.control("PUT", "/hubs/anew", {"partitions": 2})
    made = shape(anew)
    assert made[0] == 2
    assert made[1] > before[1]
    cloud.restart()
    assert shape(anew) == made
    assert (await Committed(growing).read(), await Committed(anew).read()) == (1, None)
    write_config(config, ["growing"], 7)
    with pytest.raises(RuntimeError, match=r"has 8 partitions on disk and 7 in the configuration. A hub can grow"):
        cloud.restart()


async def test_a_hub_made_anew_is_another_hub_to_all_clients(hub: Hub) -> None:
    _, created_at_ms = shape(hub)
    await hub.send("old", "old", partition_id="0")
    await Committed(hub).write(2)
    async with hub.producer() as producer:
        await producer.send_batch([EventData("old")], partition_id="0")
        await asyncio.to_thread(hub.cloud.remake_hub, hub.name)
        # The open sender is told that its hub is gone, as Azure does it; the SDK's next try comes to the new one.
        await producer.send_batch([EventData("new")], partition_id="0")
    assert bodies(await hub.receive(1)) == ["new"]
    assert await Committed(hub).read() is None
    count, anew_at_ms = shape(hub)
    assert count == 4
    assert anew_at_ms > created_at_ms
