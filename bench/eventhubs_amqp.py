"""Events per second through localcloud's AMQP endpoint, each way, with azure-eventhub's aio client.

Measured region: for sending, from the first event made to the last acknowledgement, the making of `EventData` and of
batches included, because that is how the SDK is used; "a ready batch" leaves the making out. For receiving, from the
first event to the last of a prefilled partition. Every count and every order is checked. localcloud runs in a process
of its own; the CPU time of both processes stands beside each figure, and the SDK's is to be the greater one.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext

EVENTS = 60_000
READY_EVENTS = 300_000
SIZE = 200
DEADLINE = 120.0
SERVICES = ("eventhubs", "kafka", "cosmos", "servicebus", "control")


class Figure(NamedTuple):
    name: str
    events: int
    seconds: float
    client_cpu_s: float
    server_cpu_s: float

    def __str__(self) -> str:
        def each(cpu_s: float) -> str:
            return f"{cpu_s:6.2f} s CPU ({cpu_s / self.events * 1e6:6.2f} µs an event)"

        rate = f"{self.events / self.seconds:>10,.0f} events/s"
        return f"{self.name:<24}{rate}   SDK {each(self.client_cpu_s)}, localcloud {each(self.server_cpu_s)}"


class Server:
    """`python -m localcloud` on free ports, with hubs of one partition."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.connection_string = (
            f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
        )

    @classmethod
    async def start(cls, folder: Path) -> "Server":
        hubs: list[dict[str, Any]] = [
            {"Name": name, "PartitionCount": 1, "ConsumerGroups": []} for name in ("made", "keyed", "ready")
        ]
        config = {"UserConfig": {"NamespaceConfig": [{"Type": "EventHub", "Name": "bench", "Entities": hubs}]}}
        (folder / "hubs.json").write_text(json.dumps(config))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "localcloud", "--data", str(folder / "data"), "--config", str(folder / "hubs.json"),
            *(f"--{name}-port=0" for name in SERVICES),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        return cls(process, json.loads(await process.stdout.readline())["ready"]["eventhubs"])

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


async def send_made(server: Server, hub: str, key: str | None) -> float:
    body = bytes(SIZE)
    async with EventHubProducerClient.from_connection_string(server.connection_string, eventhub_name=hub) as producer:
        batch = await producer.create_batch(partition_key=key)
        started = time.perf_counter()
        for _ in range(EVENTS):
            event = EventData(body)
            try:
                batch.add(event)
            except ValueError:
                await producer.send_batch(batch)
                batch = await producer.create_batch(partition_key=key)
                batch.add(event)
        await producer.send_batch(batch)
        seconds = time.perf_counter() - started
        await check_end(producer, EVENTS)
    return seconds


async def send_ready(server: Server) -> float:
    body = bytes(SIZE)
    async with EventHubProducerClient.from_connection_string(
        server.connection_string, eventhub_name="ready"
    ) as producer:
        batch = await producer.create_batch()
        for _ in range(3000):
            batch.add(EventData(body))
        started = time.perf_counter()
        for _ in range(READY_EVENTS // 3000):
            await producer.send_batch(batch)
        seconds = time.perf_counter() - started
        await check_end(producer, READY_EVENTS)
    return seconds


async def check_end(producer: EventHubProducerClient, events: int) -> None:
    properties: dict[str, Any] = await producer.get_partition_properties("0")
    assert properties["last_enqueued_sequence_number"] == events - 1, properties


async def receive(server: Server, hub: str) -> float:
    started = 0.0
    following = 0
    done = asyncio.Event()

    async def on_batch(_: PartitionContext, events: list[EventData]) -> None:
        nonlocal started, following
        started = started or time.perf_counter()
        for event in events:
            assert event.sequence_number == following
            following += 1
        if following >= EVENTS:
            done.set()

    client = EventHubConsumerClient.from_connection_string(server.connection_string, "$Default", eventhub_name=hub)
    async with client:
        receiving = asyncio.create_task(
            client.receive_batch(on_batch, starting_position="-1", prefetch=5000, max_batch_size=5000)
        )
        await asyncio.wait_for(done.wait(), DEADLINE)
        seconds = time.perf_counter() - started
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    return seconds


async def measure() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        server = await Server.start(Path(folder))

        async def one(name: str, events: int, run: Callable[[], Awaitable[float]]) -> None:
            client_before, server_before = time.process_time(), server.cpu_s()
            seconds = await run()
            client_cpu_s, server_cpu_s = time.process_time() - client_before, server.cpu_s() - server_before
            figures.append(Figure(name, events, seconds, client_cpu_s, server_cpu_s))

        try:
            await one("send", EVENTS, lambda: send_made(server, "made", None))
            await one("send with key", EVENTS, lambda: send_made(server, "keyed", "user-7"))
            await one("send a ready batch", READY_EVENTS, lambda: send_ready(server))
            await one("receive", EVENTS, lambda: receive(server, "made"))
            await one("receive with key", EVENTS, lambda: receive(server, "keyed"))
        finally:
            await server.stop()
    return figures


def main() -> None:
    print(f"localcloud's AMQP endpoint: events of {SIZE} bytes, one partition, acknowledged on disk")
    for figure in asyncio.run(measure()):
        print(figure)


if __name__ == "__main__":
    main()
