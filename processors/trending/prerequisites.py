"""What has to be there before the worker can start: the hubs. See `Readiness`, which waits for them."""

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import UnknownTopicOrPartitionError

from songline.cloud import kafka
from songline.cloud.settings import EventHubsSettings
from songline.processors.trending.faust import credentials
from songline.schemas.channels import HUBS


async def partitions_by_hub(settings: EventHubsSettings) -> dict[str, int]:
    """How many partitions each hub of the namespace has that the worker needs.

    Raises KafkaError; UnknownTopicOrPartitionError, which names the hubs that are not there.
    """
    unstarted = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        connections_max_idle_ms=kafka.CONNECTIONS_MAX_IDLE_MS,
        metadata_max_age_ms=kafka.METADATA_MAX_AGE_MS,
        **credentials.client(settings),
    )
    async with kafka.running(unstarted) as consumer:
        partitions = await kafka.partitions_of_hubs(consumer)
        if missing := sorted(hub for hub in HUBS if not partitions.get(hub)):
            hubs = ", ".join(missing)
            raise UnknownTopicOrPartitionError(
                f"the namespace has no hub {hubs}: `songline doctor` says how to create it"
            )
        return {hub: partitions[hub] for hub in HUBS}
