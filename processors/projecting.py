"""A worker that keeps a projection of `music-events` in a container of Cosmos DB, put together."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from cloud import blobs, checkpoints, cosmos, eventhubs
from cloud.settings import Blobs, Settings
from processors.consuming import Part, Reader
from processors.health import serving
from processors.pace import Pace
from processors.patience import Patience
from processors.positions import Positions
from processors.readiness import Readiness
from processors.running import unless
from schemas.channels import CHECKPOINT_BLOBS, DATABASE, MUSIC_EVENTS


class Projection(Struct, frozen=True):
    """What is read for: in the consumer group `group`, into the `container` whose partition key is the field `key`.
    `opens` makes, of the container, what makes a Part of a partition's name. Each of `needs` raises until what else it
    writes to is there."""

    group: str
    container: str
    key: str
    opens: Callable[[ContainerProxy], Callable[[str, Patience], Part]]
    needs: tuple[Callable[[], Awaitable[object]], ...] = ()


async def project(projection: Projection, settings: Settings, storage: Blobs, pace: Pace, stop: asyncio.Event) -> None:
    """Read until `stop`, together with every other worker of the same group. Waits for what is not there yet."""
    readiness = Readiness()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(pace.port, readiness.why_not))
        # Entering the Cosmos client asks the account, which may not be there yet.
        database = cosmos.client(settings.cosmos)
        stack.push_async_callback(database.close)
        container = cosmos.container(database, DATABASE, projection.container)
        store = await stack.enter_async_context(checkpoints.store(storage, CHECKPOINT_BLOBS))
        places = await stack.enter_async_context(blobs.client(storage))
        client = eventhubs.consumer(
            settings.eventhubs,
            MUSIC_EVENTS,
            projection.group,
            checkpoint_store=store,
            load_balancing_interval=pace.balance,
            partition_ownership_expiration_interval=pace.expire,
        )
        await stack.enter_async_context(client)
        positions = Positions(container, projection.key)
        reader = Reader(client, projection.opens(container), positions, pace, lambda: datetime.now(UTC))
        arrival = readiness.arrived(
            container.read,
            places.get_container_client(CHECKPOINT_BLOBS).get_container_properties,
            client.get_eventhub_properties,
            *projection.needs,
        )
        if await unless(stop, arrival):
            readiness.begun(reader.why_not)
            await unless(stop, reader.run())
