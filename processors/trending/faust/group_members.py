"""Members of a consumer group whose processes are gone: they are removed, so that nobody waits for their session."""

import logging
from collections.abc import Collection

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest

from songline.cloud import kafka
from songline.cloud.settings import EventHubsSettings
from songline.processors.trending.faust import credentials

log = logging.getLogger(__name__)


async def remove_members(settings: EventHubsSettings, group: str, members: Collection[str]) -> int:
    """Have `members` leave the group, and return how many were in it. Raises KafkaError where the group's coordinator
    can't be asked; a member that it does not remove is logged.

    Kafka removes a member by its id, whoever asks. Source: the Kafka protocol, LeaveGroup (versions 0 to 2).
    """
    client = AIOKafkaClient(
        bootstrap_servers=settings.kafka,
        connections_max_idle_ms=kafka.CONNECTIONS_MAX_IDLE_MS,
        **credentials.client(settings),
    )
    try:
        await client.bootstrap()
        coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
        removed = 0
        for member in members:
            answer = await client.send(coordinator, LeaveGroupRequest(group, member))
            error = for_code(answer.error_code)
            if error not in (NoError, UnknownMemberIdError):
                log.warning("member %s is not removed from the group %s: %s", member, group, error.__name__)
            removed += error is NoError
        return removed
    finally:
        await client.close()
