"""`python -m processors.catalog`: the catalog worker."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError
from msgspec import Struct

from cloud import blobs, checkpoints, cosmos, eventhubs
from cloud.settings import BadSetting, Blobs, Settings, read_blobs
from processors.catalog.dials import Dials
from processors.catalog.documents import Songs
from processors.catalog.health import serving
from processors.catalog.reader import Reader
from schemas.channels import CATALOG_GROUP, CHECKPOINT_BLOBS, DATABASE, MUSIC_EVENTS, SONGS

log = logging.getLogger(__name__)

PAUSE = 2.0


class Readiness(Struct):
    """`waits`: for what, before the reader is there."""

    waits: str = "starting"
    reader: Reader | None = None

    def why_not(self) -> list[str]:
        return [self.waits] if self.reader is None else self.reader.why_not()


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

        async def read() -> None:
            await _arrived(container.read, readiness)
            await _arrived(places.get_container_client(CHECKPOINT_BLOBS).get_container_properties, readiness)
            await _arrived(client.get_eventhub_properties, readiness)
            readiness.reader = reader
            await reader.run()

        reading = asyncio.create_task(read())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


async def _arrived(look: Callable[[], Awaitable[object]], readiness: Readiness) -> None:
    """Returns when `look` finds what it asks for; each new reason why it does not is told."""
    while True:
        try:
            await look()
        except (AzureError, EventHubError) as error:
            reason = f"waiting: {type(error).__name__} {error}".splitlines()[0]
            if reason != readiness.waits:
                log.warning(reason)
                readiness.waits = reason
            await asyncio.sleep(PAUSE)
        else:
            return


async def _until_told() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await work(Settings.read(os.environ), read_blobs(os.environ), Dials.read(os.environ), stop)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/catalog.md."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # They tell every request, and every lost connection that they mend themselves.
    logging.getLogger("azure").setLevel(logging.ERROR)
    try:
        asyncio.run(_until_told())
    except BadSetting as error:
        raise SystemExit(f"catalog: {error}") from None


if __name__ == "__main__":
    main()
