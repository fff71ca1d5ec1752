"""The trending worker as a process: its settings read, its services opened, its parts put together."""

import asyncio
import gc
import logging
import os
from contextlib import suppress
from functools import partial

import faust

from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import CloudSettings, SettingError
from songline.processors.runtime.process import CRASHED_IN_FOLD
from songline.processors.trending import prerequisites as arrival
from songline.processors.trending.app import create
from songline.processors.trending.config import TrendingConfig
from songline.schemas.channels import ATTEMPTS, CHARTS, DATABASE, MUSIC_EVENTS, PARKED, PLAYS, TRENDING_GROUP

GC_THRESHOLD = 200_000
"""Batches of thousands of short-lived events make the collector run for nothing at its usual 700."""


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/trending.md."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("azure", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        settings, dials = CloudSettings.read(os.environ), TrendingConfig.read(os.environ)
    except SettingError as error:
        raise SystemExit(f"trending: {error}") from None
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = cosmos.client(settings.cosmos)
    containers = [cosmos.container(client, DATABASE, name) for name in (CHARTS, PLAYS, PARKED, ATTEMPTS)]
    with suppress(KeyboardInterrupt):
        hubs = loop.run_until_complete(arrival.arrived(lambda: arrival.hubs(settings.eventhubs)))
        charts, plays, parked, attempts = containers
        for container in containers:
            loop.run_until_complete(arrival.arrived(partial(arrival.container, container)))
        # Whoever asks asks again soon: the SDK's own pauses would outlast an outage by half a minute.
        hub = eventhubs.consumer(settings.eventhubs, MUSIC_EVENTS, TRENDING_GROUP, retry_total=0)
        trending = create(settings, dials, hubs, charts, plays, parked, attempts, hub)
        # The stages write until they have let go of everything.
        trending.app.closing += [client.close, hub.close]
        worker = faust.Worker(trending.app, trending.health, loop=loop, loglevel="info", redirect_stdouts=False)
        try:
            worker.execute_from_commandline()
        finally:
            if trending.isolation.error is not None:
                raise SystemExit(CRASHED_IN_FOLD)
