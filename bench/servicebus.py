"""Service Bus of localcloud: messages per second over the wire, with everything acknowledged on disk.

Measured region: from the first send to the last acknowledgement, and from the first receive to the last settlement,
in Azure's asyncio client against a localcloud in a process of its own on the same machine. Opening links is outside.
Each figure is checked: as many messages come out as went in, each once.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.support.localcloud import LocalCloud

QUEUE = "song-commands"
BODY = b"x" * 1000
LINKS = 8
COUNT = 2000
BATCH = 100


async def send(bus: ServiceBusClient, count: int, batch: int, prefix: str) -> float:
    """Seconds for `count` messages over LINKS senders, `batch` a call."""

    async def one(number: int) -> None:
        sender = senders[number]
        for start in range(number * batch, count, LINKS * batch):
            numbers = range(start, min(start + batch, count))
            await sender.send_messages([ServiceBusMessage(BODY, message_id=f"{prefix}-{n}") for n in numbers])

    senders = [bus.get_queue_sender(QUEUE) for _ in range(LINKS)]
    for sender in senders:
        await sender.__aenter__()
    started = time.perf_counter()
    await asyncio.gather(*map(one, range(LINKS)))
    seconds = time.perf_counter() - started
    for sender in senders:
        await sender.close()
    return seconds


async def receive(bus: ServiceBusClient, count: int) -> float:
    """Seconds to receive and complete `count` messages over LINKS receivers."""
    seen: list[str] = []

    async def one(number: int) -> None:
        while len(seen) < count:
            for message in await receivers[number].receive_messages(BATCH, max_wait_time=1):
                await receivers[number].complete_message(message)
                seen.append(message.message_id or "")
                settled_at[0] = time.perf_counter()

    settled_at = [0.0]
    receivers = [bus.get_queue_receiver(QUEUE, prefetch_count=BATCH) for _ in range(LINKS)]
    for receiver in receivers:
        await receiver.__aenter__()
    started = time.perf_counter()
    await asyncio.gather(*map(one, range(LINKS)))
    for receiver in receivers:
        await receiver.close()
    assert len(seen) == len(set(seen)) == count
    return settled_at[0] - started


async def measure(cloud: LocalCloud) -> None:
    async with ServiceBusClient.from_connection_string(cloud.servicebus_connection_string) as bus:
        for name, batch in (("send one a call", 1), (f"send {BATCH} a call", BATCH)):
            seconds = await send(bus, COUNT, batch, f"batch{batch}")
            print(f"{name}, {LINKS} senders: {COUNT / seconds:,.0f} messages/s")
            seconds = await receive(bus, COUNT)
            print(f"receive and complete, {LINKS} receivers: {COUNT / seconds:,.0f} messages/s")


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder) / "cloud").start()
        try:
            asyncio.run(measure(cloud))
        finally:
            cloud.stop()


if __name__ == "__main__":
    main()
