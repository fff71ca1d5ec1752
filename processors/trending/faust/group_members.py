"""Members of a consumer group whose processes are gone: they are removed, so that nobody waits for their session."""

import logging
from collections.abc import Collection
from typing import Any

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError, NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import TopicPartition
from msgspec import Struct

from songline.cloud import kafka
from songline.cloud.settings import EventHubsSettings
from songline.processors.trending.faust import credentials

log = logging.getLogger(__name__)


class RemovedMembers(Struct, frozen=True):
    """How many members were removed, and the partitions that they had, as far as the group says so."""

    count: int
    partitions: frozenset[TopicPartition]


async def remove_members(settings: EventHubsSettings, group: str, members: Collection[str]) -> RemovedMembers:
    """Have `members` leave the group. Raises KafkaError where the group's coordinator can't be asked; a member that it
    does not remove is logged.

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
        held = await _held(client, coordinator, group)
        removed = set()
        for member in members:
            answer = await client.send(coordinator, LeaveGroupRequest(group, member))
            error = for_code(answer.error_code)
            if error is NoError:
                removed.add(member)
            elif error is not UnknownMemberIdError:
                log.warning("member %s is not removed from the group %s: %s", member, group, error.__name__)
        return RemovedMembers(len(removed), frozenset().union(*(held.get(one, ()) for one in removed)))
    finally:
        await client.close()


async def _held(client: AIOKafkaClient, coordinator: int, group: str) -> dict[str, list[TopicPartition]]:
    """The partitions of the group's members. Nothing where the group does not say so: it need not be known."""
    try:
        answer: Any = await client.send(coordinator, DescribeGroupsRequest([group]))
        [(_, _, _, _, _, members, *_)] = answer.groups
        # A member has none while the group shares them out.
        return {one[0]: ConsumerProtocol.ASSIGNMENT.decode(one[4]).partitions() for one in members if one[4]}
    except (KafkaError, ValueError) as error:
        log.info("what the members of the group %s have is not known: %s", group, error)
        return {}
