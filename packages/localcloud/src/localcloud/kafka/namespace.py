"""What the handlers of one endpoint share, and how a request finds a partition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from localcloud.log.errors import UnknownHubError
from localcloud.log.partition import PartitionLog
from localcloud.log.store import Hub, LogStore

CLUSTER_ID = "songline-localcloud"


@dataclass(frozen=True, slots=True)
class KafkaNamespace:
    """The hubs, where clients find the one broker, and the clock (Unix ms)."""

    store: LogStore
    host: str
    port: int
    auto_create: bool
    now_ms: Callable[[], int]


class KafkaClient(NamedTuple):
    """Who asks: the id it chose, where it is, and the one hub its credential is limited to (None: all)."""

    id: str
    host: str
    entity: str | None

    def may_use(self, topic: str) -> bool:
        return self.entity is None or self.entity.lower() == topic.lower()


def find_hub(namespace: KafkaNamespace, client: KafkaClient, topic: str) -> Hub | ErrorCode:
    if not client.may_use(topic):
        return ErrorCode.topic_authorization_failed
    try:
        return namespace.store.hub(topic)
    except UnknownHubError:
        return ErrorCode.unknown_topic_or_partition


def find_partition(hub: Hub | ErrorCode, number: int) -> PartitionLog | ErrorCode:
    if isinstance(hub, ErrorCode):
        return hub
    if not 0 <= number < len(hub.partitions):
        return ErrorCode.unknown_topic_or_partition
    return hub.partitions[number]
