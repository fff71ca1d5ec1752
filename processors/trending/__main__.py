"""`python -m processors.trending`: the trending worker."""

import asyncio
import gc
import logging
import os
from contextlib import suppress
from functools import partial

import faust
from azure.cosmos.aio import CosmosClient
from mode import Service

from cloud import cosmos
from cloud.settings import BadSetting, Settings
from processors.trending import arrival
from processors.trending.app import create
from processors.trending.dials import Dials
from schemas.channels import CHARTS, DATABASE, PARKED, PLAYS

GC_THRESHOLD = 200_000
"""Batches of thousands of short-lived events make the collector run for nothing at its usual 700."""


class Closing(Service):  # type: ignore[misc] # mode has no types
    """Closes the Cosmos client when the worker stops."""

    def __init__(self, client: CosmosClient) -> None:
        super().__init__()
        self._client = client

    async def on_stop(self) -> None:
        await self._client.close()


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/trending.md."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("azure", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings, dials = Settings.read(os.environ), Dials.read(os.environ)
    except BadSetting as error:
        raise SystemExit(f"trending: {error}") from None
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = cosmos.client(settings.cosmos)
    closing = Closing(client)
    containers = [cosmos.container(client, DATABASE, name) for name in (CHARTS, PLAYS, PARKED)]
    with suppress(KeyboardInterrupt):
        hubs = loop.run_until_complete(arrival.arrived(lambda: arrival.hubs(settings.eventhubs)))
        for container in containers:
            loop.run_until_complete(arrival.arrived(partial(arrival.container, container)))
        trending = create(settings, dials, hubs, *containers)
        services = (trending.health, closing)
        worker = faust.Worker(trending.app, *services, loop=loop, loglevel="info", redirect_stdouts=False)
        worker.execute_from_commandline()


if __name__ == "__main__":
    main()
