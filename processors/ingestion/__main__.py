"""`python -m processors.ingestion`: the ingestion worker."""

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from cloud import blobs, cosmos, eventhubs, servicebus
from cloud.settings import (
    BadSetting,
    Blobs,
    Cosmos,
    EventHubs,
    ServiceBus,
    read_blobs,
    read_cosmos,
    read_eventhubs,
    read_servicebus,
)
from processors.ingestion.audio_store import AudioStore
from processors.ingestion.documents import Ingestions
from processors.ingestion.outgoing import Outgoing
from processors.ingestion.reconciler import Patience, Reconciler
from processors.ingestion.sandbox import Sandbox
from processors.ingestion.work import Work
from processors.ingestion.worker import Pace, Worker
from schemas.channels import DATABASE, INGESTIONS, MUSIC_EVENTS

LANES = "SONGLINE_INGESTION_LANES"


class Wires(Struct, frozen=True):
    """Every service that ingestion needs."""

    servicebus: ServiceBus
    eventhubs: EventHubs
    cosmos: Cosmos
    blobs: Blobs

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Wires":
        """Raises BadSetting."""
        return cls(read_servicebus(environ), read_eventhubs(environ), read_cosmos(environ), read_blobs(environ))


def read_pace(environ: Mapping[str, str]) -> Pace:
    """Raises BadSetting."""
    text = environ.get(LANES, "")
    if not text:
        return Pace()
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise BadSetting(LANES, repr(text), "how many songs to work on at a time, 1 to 64")
    return Pace(lanes=int(text))


async def work(wires: Wires, pace: Pace, patience: Patience, stop: asyncio.Event) -> None:
    """Carry commands out, and look for what fell between, until `stop`."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(servicebus.client(wires.servicebus))
        producer = await stack.enter_async_context(eventhubs.producer(wires.eventhubs, MUSIC_EVENTS))
        # Not entered: that would ask the account something, and it may be away still.
        store = cosmos.client(wires.cosmos)
        stack.push_async_callback(store.close)
        audio = AudioStore(await stack.enter_async_context(blobs.client(wires.blobs)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="songline-ingestion-")))
        ingestions = Ingestions(cosmos.container(store, DATABASE, INGESTIONS))
        carrying = Work(ingestions, audio, Outgoing(producer), Sandbox(), folder, _now)
        reconciler = Reconciler(bus, ingestions, audio, carrying, _now, patience)
        async with asyncio.TaskGroup() as group:
            group.create_task(Worker(bus, carrying, pace).run(stop))
            group.create_task(reconciler.run(stop))


async def _until_told() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await work(Wires.read(os.environ), read_pace(os.environ), Patience(), stop)


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/ingestion.md."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # They tell every request, and every lost connection that they mend themselves.
    logging.getLogger("azure").setLevel(logging.ERROR)
    try:
        asyncio.run(_until_told())
    except BadSetting as error:
        raise SystemExit(f"ingestion: {error}") from None


if __name__ == "__main__":
    main()
