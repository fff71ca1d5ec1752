"""Owner levels and the number of readers, through azure-eventhub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from localcloud.testing.waiting import wait_for_async
from localcloud_tests.integration.eventhubs.hub import Hub


class Listener:
    """A consumer of partition 0."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.errors: list[str] = []

    async def on_event(self, _: PartitionContext, event: EventData | None) -> None:
        assert event is not None
        self.bodies.append(event.body_as_str())

    async def on_error(self, _: PartitionContext, error: Exception) -> None:
        self.errors.append(str(error))

    async def received(self) -> bool:
        return bool(self.bodies)

    async def failed(self) -> bool:
        return bool(self.errors)


@asynccontextmanager
async def listening(hub: Hub, **options: Any) -> AsyncIterator[Listener]:
    listener = Listener()
    consumer: EventHubConsumerClient = hub.consumer(retry_total=0)
    async with consumer:
        receiving = asyncio.create_task(
            consumer.receive(
                listener.on_event, on_error=listener.on_error, partition_id="0", starting_position="-1", **options
            )
        )
        try:
            yield listener
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)


async def test_a_higher_level_takes_the_partition_and_the_loser_learns_it(hub: Hub) -> None:
    await hub.send("one", partition_id="0")
    async with listening(hub, owner_level=1) as first:
        await wait_for_async(first.received, "the first owner's event")
        async with listening(hub, owner_level=2) as second:
            await wait_for_async(second.received, "the second owner's event")
            await wait_for_async(first.failed, "the first owner to hear that it has lost")
            assert "New receiver" in first.errors[0]
            await hub.send("two", partition_id="0")
            await wait_for_async(lambda: _has(second, "two"), "the second owner's next event")
        assert first.bodies == ["one"]


async def test_a_lower_level_or_none_stays_out(hub: Hub) -> None:
    await hub.send("one", partition_id="0")
    async with listening(hub, owner_level=5) as owner:
        await wait_for_async(owner.received, "the owner's event")
        for options in ({"owner_level": 4}, {}):
            async with listening(hub, **options) as other:
                await wait_for_async(other.failed, f"the refusal of {options}")
                assert "owner level (epoch) 5 is there" in other.errors[0]
                assert not other.bodies
        await hub.send("two", partition_id="0")
        await wait_for_async(lambda: _has(owner, "two"), "the owner's next event")
        assert not owner.errors


async def test_another_group_has_owners_of_its_own(hub: Hub) -> None:
    await hub.send("one", partition_id="0")
    async with listening(hub, owner_level=5) as owner:
        await wait_for_async(owner.received, "the owner's event")
        assert len(await hub.receive(1, group="second", owner_level=1)) == 1
        assert not owner.errors


async def test_the_sixth_reader_of_a_partition_and_group_is_refused(hub: Hub) -> None:
    await hub.send("one", partition_id="0")
    async with (
        listening(hub) as a,
        listening(hub) as b,
        listening(hub) as c,
        listening(hub) as d,
        listening(hub) as e,
    ):
        for reader in (a, b, c, d, e):
            await wait_for_async(reader.received, "each of five readers' event")
        assert "which is 5" in await hub.error(partition_id="0")


async def _has(listener: Listener, body: str) -> bool:
    return body in listener.bodies
