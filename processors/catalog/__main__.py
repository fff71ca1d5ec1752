"""`python -m processors.catalog`: the catalog worker."""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from cloud import blobs, checkpoints, cosmos, eventhubs
from cloud.settings import Blobs, Settings, read_blobs
from processors.catalog.dials import Dials
from processors.catalog.documents import Songs
from processors.catalog.reader import Reader
from processors.health import serving
from processors.readiness import Readiness
from processors.running import run, unless
from schemas.channels import CATALOG_GROUP, CHECKPOINT_BLOBS, DATABASE, MUSIC_EVENTS, SONGS


async def work(settings: Settings, storage: Blobs, dials: Dials, stop: asyncio.Event) -> None:
    """Read until `stop`."""
    readiness = Readiness()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(dials.port, readiness.why_not))
        # Entering the Cosmos client asks the account, which may not be there yet.
        database = cosmos.client(settings.cosmos)
        stack.push_async_callback(database.close)
        container = cosmos.container(database, DATABASE, SONGS)
        store = await stack.enter_async_context(checkpoints.store(storage, CHECKPOINT_BLOBS))
        places = await stack.enter_async_context(blobs.client(storage))
        client = eventhubs.consumer(
            settings.eventhubs,
            MUSIC_EVENTS,
            CATALOG_GROUP,
            checkpoint_store=store,
            load_balancing_interval=dials.balance,
            partition_ownership_expiration_interval=dials.expire,
        )
        await stack.enter_async_context(client)
        reader = Reader(client, Songs(container), dials, lambda: datetime.now(UTC))

        arrival = readiness.arrived(
            container.read,
            places.get_container_client(CHECKPOINT_BLOBS).get_container_properties,
            client.get_eventhub_properties,
        )
        if await unless(stop, arrival):
            readiness.begun(reader.why_not)
            await unless(stop, reader.run())


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/catalog.md."""
    run("catalog", lambda stop: work(Settings.read(os.environ), read_blobs(os.environ), Dials.read(os.environ), stop))


if __name__ == "__main__":
    main()
