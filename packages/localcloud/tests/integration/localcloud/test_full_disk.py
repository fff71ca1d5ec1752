"""A disk that fills up and gets room again, twice: writers hear it at once, nothing is lost, nobody restarts anything.

The disk is a tmpfs of 32 MiB, mounted by the test; where mounting is not allowed (it takes root) the test is skipped.
"""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.exceptions import EventDataSendError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusServerBusyError
from kio.schema.errors import ErrorCode

from localcloud.testing import LocalCloudProcess
from localcloud.testing.waiting import wait_for_async
from localcloud_tests.integration.eventhubs.conftest import write_config
from localcloud_tests.integration.eventhubs.hub import Hub
from localcloud_tests.support.kafka import RawClient, aiokafka_options
from localcloud_tests.support.kafka_requests import plain, produce, produced

AT_ONCE_S = 30.0
"""SDKs wait for an answer for a minute."""
BIG = 6000
"""Bytes that don't find room in what a page has left."""


class Disk:
    """A small file system and what fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        file = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    os.write(file, bytes(size))
            except OSError:
                pass
        os.close(file)

    def make_room(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"A small file system can't be mounted here: {mounted.stderr.decode().strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def cloud(disk: Disk, tmp_path: Path) -> Iterator[LocalCloudProcess]:
    """Its data is on the small disk, its log is not."""
    config = write_config(tmp_path / "Config.json", ["hub"], 1)
    queues = {"UserConfig": {"Namespaces": [{"Name": "full-disk", "Queues": [{"Name": "commands"}]}]}}
    (tmp_path / "queues.json").write_text(json.dumps(queues))
    files = ["--config", str(config), "--servicebus-config", str(tmp_path / "queues.json")]
    cloud = LocalCloudProcess(disk.folder / "data", files)
    cloud.data.mkdir()
    (cloud.data / "localcloud.log").symlink_to(tmp_path / "localcloud.log")
    yield cloud.start()
    cloud.stop()


class Writers:
    """One writer a protocol; each writes `mark` and returns when it is acknowledged."""

    def __init__(
        self, events: EventHubProducerClient, kafka: RawClient, items: ContainerProxy, commands: ServiceBusSender
    ) -> None:
        self._events = events
        self._kafka = kafka
        self._items = items
        self._commands = commands
        self.all: dict[str, Callable[[str], Awaitable[None]]] = {
            "amqp": self.amqp,
            "kafka": self.kafka,
            "cosmos": self.cosmos,
            "bus": self.bus,
            "large": self.large,
        }

    async def amqp(self, mark: str) -> None:
        await self._events.send_batch([EventData(f"amqp {mark}".ljust(BIG))], partition_id="0")

    async def kafka(self, mark: str) -> None:
        answer = await produced(self._kafka, produce(plain(f"kafka {mark}".ljust(BIG).encode()), "hub"))
        if answer.error_code is not ErrorCode.none:
            raise RuntimeError(f"{answer.error_code.name}: {answer.error_message}")

    async def cosmos(self, mark: str) -> None:
        await self._items.upsert_item({"id": mark, "content": "x" * 4 * BIG})

    async def bus(self, mark: str) -> None:
        await self._commands.send_messages(ServiceBusMessage(f"bus {mark}".ljust(4 * BIG)))

    async def large(self, mark: str) -> None:
        """A body that has a file of its own."""
        await self._commands.send_messages(ServiceBusMessage(f"large {mark}".ljust(200_000)))


@asynccontextmanager
async def writers(cloud: LocalCloudProcess) -> AsyncIterator[Writers]:
    events = EventHubProducerClient.from_connection_string(
        cloud.eventhub_connection_string, eventhub_name="hub", retry_total=0
    )
    bus = ServiceBusClient.from_connection_string(cloud.servicebus_connection_string, retry_total=0)
    account = CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key)
    kafka = await RawClient.connect(cloud.ports["kafka"])
    async with events, bus, account, bus.get_queue_sender("commands") as commands:
        database = await account.create_database_if_not_exists("full-disk")
        items = await database.create_container_if_not_exists("items", PartitionKey("/id"))
        yield Writers(events, kafka, items, commands)
    await kafka.close()


async def refused(write: Callable[[str], Awaitable[None]], mark: str) -> None:
    """The error comes at once, says why, and is of the kind that SDKs try again after."""
    started = time.monotonic()
    with pytest.raises(
        (EventDataSendError, RuntimeError, CosmosHttpResponseError, ServiceBusServerBusyError), match="the disk is full"
    ) as told:
        await write(mark)
    assert time.monotonic() - started < AT_ONCE_S
    match told.value:
        case EventDataSendError():
            assert "server-busy" in str(told.value)
        case CosmosHttpResponseError():
            assert told.value.status_code == 503
        case RuntimeError():
            assert "kafka_storage_error" in str(told.value)


async def test_a_full_disk_is_told_at_once_and_heals_by_itself_twice(cloud: LocalCloudProcess, disk: Disk) -> None:
    kept: list[str] = []
    async with writers(cloud) as clients, AIOKafkaProducer(**aiokafka_options(cloud.kafka_bootstrap)) as patient:
        for outage in range(2):
            disk.fill()
            for name, write in clients.all.items():
                for number in range(3):
                    await refused(write, f"lost {outage}.{number} {name}")
            # A Kafka client of the ordinary kind tries until there is room.
            waiting = asyncio.create_task(patient.send_and_wait("hub", f"patient {outage}".ljust(BIG).encode()))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            disk.make_room()
            await waiting
            for name, write in clients.all.items():

                async def written(
                    write: Callable[[str], Awaitable[None]] = write, mark: str = f"kept {outage}"
                ) -> bool:
                    try:
                        await write(mark)
                    except ServiceBusServerBusyError:  # the link was reset by the outage
                        return False
                    return True

                await wait_for_async(written, f"{name} to write again")
            kept += [f"patient {outage}", f"amqp kept {outage}", f"kafka kept {outage}"]
    events = await Hub(cloud, "hub").receive(len(kept))
    assert [event.body_as_str().strip() for _, event in events] == kept
    bus = ServiceBusClient.from_connection_string(cloud.servicebus_connection_string)
    async with bus, bus.get_queue_receiver("commands") as receiver:
        bodies: list[str] = []
        while len(bodies) < 4 and (some := await receiver.receive_messages(4 - len(bodies), max_wait_time=60)):
            bodies += [str(message).strip() for message in some]
    assert bodies == [f"{name} kept {outage}" for outage in range(2) for name in ("bus", "large")]
    async with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key) as account:
        items = account.get_database_client("full-disk").get_container_client("items")
        assert sorted([item["id"] async for item in items.read_all_items()]) == ["kept 0", "kept 1"]
    # One line a service and outage, and perhaps one that it is over.
    lines = [line for line in cloud.log().splitlines() if not line.startswith("INFO")]
    assert len(lines) <= 3 * 2 * 2, "\n".join(lines)
    assert sum("Event Hubs can't write" in line for line in lines) in (1, 2)


async def test_a_localcloud_starts_on_a_full_disk(cloud: LocalCloudProcess, disk: Disk) -> None:
    hub = Hub(cloud, "hub")

    async def write(mark: str) -> None:
        await hub.send(mark.ljust(BIG), partition_id="0")

    await write("before")
    cloud.kill()
    disk.fill()
    cloud.start()
    await refused(write, "lost")
    disk.make_room()
    await write("after")
    assert [event.body_as_str().strip() for _, event in await hub.receive(2)] == ["before", "after"]
