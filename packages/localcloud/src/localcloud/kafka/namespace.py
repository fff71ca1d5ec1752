"""What the handlers of one endpoint share, and how a request finds a hub and a partition."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from localcloud.log.errors import UnknownHubError
from localcloud.log.partition import PartitionLog
from localcloud.log.store import Hub, LogStore
from localcloud.sas import Right, all_rights
from localcloud.throughput_units import ThroughputUnits

CLUSTER_ID = "localcloud"
_TOPIC_IDS = uuid.UUID("6f1f9f2e-3c86-4f0e-a3c5-50a9d0e6a1c1")


@dataclass(frozen=True, slots=True)
class KafkaNamespace:
    """The hubs, where clients find the one broker, whether clients may create hubs, and the clock (Unix ms)."""

    store: LogStore
    host: str
    port: int
    create_topics: bool
    now_ms: Callable[[], int]
    egress: ThroughputUnits
    standard: bool


class KafkaClient(NamedTuple):
    """The client of a connection: its id, its host, and what its credential opens: one hub (None: all), by rights."""

    id: str
    host: str
    entity: str | None
    rights_at: Callable[[str], frozenset[Right]] = all_rights

    def may_use(self, topic: str, right: Right | None = None) -> bool:
        """Whether it may use the hub at all, or by this right."""
        if self.entity is not None and self.entity.lower() != topic.lower():
            return False
        found = self.rights_at(topic)
        return bool(found) if right is None else right in found


def topic_id(hub: Hub) -> uuid.UUID:
    """Stable for as long as the hub exists, and another one when it is created anew."""
    return _topic_id(hub.name.lower(), hub.created_at_ms)


@lru_cache(maxsize=4096)
def _topic_id(name: str, created_at_ms: int) -> uuid.UUID:
    return uuid.uuid5(_TOPIC_IDS, f"{name}@{created_at_ms}")


def find_hub(namespace: KafkaNamespace, client: KafkaClient, topic: str, right: Right | None = None) -> Hub | ErrorCode:
    """The hub, if the client may use it at all, or by this right."""
    if not client.may_use(topic, right):
        return ErrorCode.topic_authorization_failed
    try:
        return namespace.store.hub(topic)
    except UnknownHubError:
        return ErrorCode.unknown_topic_or_partition


def find_hub_by_id(
    namespace: KafkaNamespace, client: KafkaClient, wanted: uuid.UUID | None, right: Right | None = None
) -> Hub | ErrorCode:
    """The hub of that id; a hub that the client may not use is unknown to it."""
    for hub in namespace.store.hubs():
        if topic_id(hub) == wanted and client.may_use(hub.name):
            return hub if client.may_use(hub.name, right) else ErrorCode.topic_authorization_failed
    return ErrorCode.unknown_topic_id


def may_read(namespace: KafkaNamespace, client: KafkaClient) -> bool:
    """Whether the client may receive from any hub, without which a consumer group is none of its business."""
    names = ["", *(hub.name for hub in namespace.store.hubs())]
    return any(client.may_use(name, Right.LISTEN) for name in names)


def find_partition(hub: Hub | ErrorCode, number: int) -> PartitionLog | ErrorCode:
    if isinstance(hub, ErrorCode):
        return hub
    if not 0 <= number < len(hub.partitions):
        return ErrorCode.unknown_topic_or_partition
    return hub.partitions[number]
