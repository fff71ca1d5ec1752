"""What has to be there before the worker can start: hubs and containers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud import kafka
from songline.cloud.settings import EventHubsSettings
from songline.processors.trending.faust import credentials
from songline.schemas.channels import HUBS

log = logging.getLogger(__name__)

PAUSE = 2.0
T = TypeVar("T")


class Missing(Exception):
    """Something is not there yet. Whoever runs the namespace must create it; the worker waits meanwhile."""


async def arrived(look: Callable[[], Awaitable[T]]) -> T:
    """The answer of `look`, asked until it raises neither Missing nor an error of the wire; each new reason is told."""
    told = ""
    while True:
        try:
            return await look()
        except (Missing, KafkaError, AzureError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            if reason != told:
                log.warning("waiting: %s", reason)
                told = reason
            await asyncio.sleep(PAUSE)


async def hubs(settings: EventHubsSettings) -> dict[str, int]:
    """The partitions of each hub that the worker needs; raises Missing, which names those that are not there."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        connections_max_idle_ms=kafka.CONNECTIONS_MAX_IDLE_MS,
        metadata_max_age_ms=kafka.METADATA_MAX_AGE_MS,
        **credentials.client(settings),
    )
    await consumer.start()
    try:
        there = await consumer.topics()
        missing = sorted(set(HUBS) - there)
        if missing:
            raise Missing(f"the namespace has no hub {', '.join(missing)}: `songline doctor` says how to create it")
        await consumer._client.force_metadata_update()
        return {hub: len(consumer.partitions_for_topic(hub) or ()) for hub in HUBS}
    finally:
        await consumer.stop()


async def container(container: ContainerProxy) -> None:
    """Returns when the container is there; raises Missing, or what Cosmos says when it can't be asked."""
    try:
        await container.read()
    except CosmosResourceNotFoundError:
        raise Missing(f"there is no container {container.id}: `songline doctor` says how to create it") from None
