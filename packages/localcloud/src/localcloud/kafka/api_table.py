"""The APIs and versions that the endpoint serves, and their handlers.

The newest versions are those of Kafka 3.2 to 3.4, so that clients that go by the version of a whole broker find all of
them; the oldest are those that kio describes, which Kafka 4.0 has too.
"""

import secrets
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final, NamedTuple

from kio.schema.api_versions.v3 import ApiVersionsRequest, ApiVersionsResponse
from kio.schema.api_versions.v3.response import ApiVersion
from kio.schema.create_partitions.v3 import CreatePartitionsRequest
from kio.schema.create_topics.v7 import CreateTopicsRequest
from kio.schema.delete_groups.v2 import DeleteGroupsRequest
from kio.schema.delete_topics.v5 import DeleteTopicsRequest as DeleteTopicsRequestV5
from kio.schema.delete_topics.v6 import DeleteTopicsRequest
from kio.schema.describe_cluster.v0 import DescribeClusterRequest
from kio.schema.describe_configs.v4 import DescribeConfigsRequest
from kio.schema.describe_groups.v5 import DescribeGroupsRequest
from kio.schema.errors import ErrorCode
from kio.schema.fetch.v12 import FetchRequest
from kio.schema.fetch.v13 import FetchRequest as FetchRequestV13
from kio.schema.find_coordinator import v3 as find_v3
from kio.schema.find_coordinator.v4 import FindCoordinatorRequest
from kio.schema.heartbeat.v4 import HeartbeatRequest
from kio.schema.init_producer_id.v4 import InitProducerIdRequest
from kio.schema.join_group.v9 import JoinGroupRequest
from kio.schema.leave_group import v2 as leave_v2
from kio.schema.leave_group.v5 import LeaveGroupRequest
from kio.schema.list_groups.v4 import ListGroupsRequest
from kio.schema.list_offsets.v7 import ListOffsetsRequest
from kio.schema.metadata.v12 import MetadataRequest
from kio.schema.offset_commit.v8 import OffsetCommitRequest
from kio.schema.offset_fetch import v7 as fetch_v7
from kio.schema.offset_fetch.v8 import OffsetFetchRequest
from kio.schema.offset_for_leader_epoch.v4 import OffsetForLeaderEpochRequest
from kio.schema.produce.v9 import ProduceRequest
from kio.schema.sasl_authenticate.v2 import SaslAuthenticateRequest
from kio.schema.sasl_handshake.v1 import SaslHandshakeRequest
from kio.schema.sync_group.v5 import SyncGroupRequest
from kio.static.protocol import Entity

from localcloud.kafka.committed_offsets import CommittedOffsets
from localcloud.kafka.coordinator_lookup import find_coordinator, find_coordinators
from localcloud.kafka.fetch import fetch, fetch_by_id
from localcloud.kafka.group_admin import GroupAdmin
from localcloud.kafka.group_coordinator import GroupCoordinator
from localcloud.kafka.group_offsets import GroupOffsets
from localcloud.kafka.metadata import describe_cluster, metadata
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, topic_id
from localcloud.kafka.partition_offsets import list_offsets, offset_for_leader_epoch
from localcloud.kafka.primitives import NO_THROTTLE, i16
from localcloud.kafka.produce_handler import ProduceHandler
from localcloud.kafka.topic_admin import TopicDeletion, describe_configs
from localcloud.kafka.topic_creation import create_topics
from localcloud.kafka.topic_growth import create_partitions

PRODUCE: Final = 0
SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
SASL_AUTHENTICATE: Final = 36

Handler = Callable[[KafkaClient, Any, int], Entity | Awaitable[Entity]]


class Api(NamedTuple):
    """Versions `first` to `last` of one API: the class its requests are read as, and their handler."""

    key: int
    first: int
    last: int
    canonical: type[Entity]
    handle: Handler | None


class ApiTable:
    """The handlers of one endpoint, by API key and version."""

    def __init__(
        self,
        namespace: KafkaNamespace,
        producing: ProduceHandler,
        coordinator: GroupCoordinator,
        committed: CommittedOffsets,
    ) -> None:
        ns, groups = namespace, coordinator
        positions, group_admin = GroupOffsets(ns, groups, committed), GroupAdmin(ns, groups, committed)
        deletion = TopicDeletion(ns, committed)
        self._namespace = namespace
        self.table = (
            Api(PRODUCE, 3, 9, ProduceRequest, lambda client, request, _: producing.produce(client, request)),
            Api(1, 4, 12, FetchRequest, lambda client, request, _: fetch(ns, client, request)),
            Api(1, 13, 13, FetchRequestV13, lambda client, request, _: fetch_by_id(ns, client, request)),
            Api(2, 1, 7, ListOffsetsRequest, lambda client, request, _: list_offsets(ns, client, request)),
            Api(3, 0, 10, MetadataRequest, lambda client, request, version: metadata(ns, client, request, version)),
            Api(3, 11, 12, MetadataRequest, lambda client, request, version: metadata(ns, client, request, version)),
            Api(8, 2, 8, OffsetCommitRequest, lambda client, request, _: positions.commit(client, request)),
            Api(9, 1, 7, fetch_v7.OffsetFetchRequest,
                lambda client, request, _: positions.fetch_of_one(client, request)),
            Api(9, 8, 8, OffsetFetchRequest, lambda client, request, _: positions.fetch(client, request)),
            Api(10, 0, 3, find_v3.FindCoordinatorRequest, lambda _, request, __: find_coordinator(ns, request)),
            Api(10, 4, 4, FindCoordinatorRequest, lambda _, request, __: find_coordinators(ns, request)),
            Api(11, 0, 9, JoinGroupRequest, lambda client, request, version: groups.join(client, request, version)),
            Api(12, 0, 4, HeartbeatRequest, lambda _, request, __: groups.heartbeat(request)),
            Api(13, 0, 2, leave_v2.LeaveGroupRequest, lambda _, request, __: groups.leave_one(request)),
            Api(13, 3, 5, LeaveGroupRequest, lambda _, request, __: groups.leave(request)),
            Api(14, 0, 5, SyncGroupRequest, lambda _, request, __: groups.sync(request)),
            Api(15, 0, 5, DescribeGroupsRequest, lambda _, request, __: group_admin.describe(request)),
            Api(16, 0, 4, ListGroupsRequest, lambda _, request, __: group_admin.list_all(request)),
            Api(SASL_HANDSHAKE, 0, 1, SaslHandshakeRequest, None),
            Api(API_VERSIONS, 0, 3, ApiVersionsRequest, lambda _, __, ___: self.versions()),
            Api(19, 2, 7, CreateTopicsRequest, lambda client, request, _: create_topics(ns, client, request)),
            Api(20, 1, 5, DeleteTopicsRequestV5,
                lambda client, request, _: deletion.delete_named(client, request)),
            Api(20, 6, 6, DeleteTopicsRequest, lambda client, request, _: deletion.delete(client, request)),
            Api(22, 0, 4, InitProducerIdRequest, lambda _, request, __: producing.init_producer_id(request)),
            Api(23, 2, 4, OffsetForLeaderEpochRequest,
                lambda client, request, _: offset_for_leader_epoch(ns, client, request)),
            Api(32, 1, 4, DescribeConfigsRequest, lambda client, request, _: describe_configs(ns, client, request)),
            Api(SASL_AUTHENTICATE, 0, 2, SaslAuthenticateRequest, None),
            Api(37, 0, 3, CreatePartitionsRequest, lambda client, request, _: create_partitions(ns, client, request)),
            Api(42, 0, 2, DeleteGroupsRequest, lambda client, request, _: group_admin.delete(client, request)),
            Api(60, 0, 0, DescribeClusterRequest, lambda _, request, __: describe_cluster(ns, request)),
        )  # fmt: skip

    @cached_property
    def by_version(self) -> dict[tuple[int, int], Api]:
        return {(api.key, version): api for api in self.table for version in range(api.first, api.last + 1)}

    def versions(self, error: ErrorCode = ErrorCode.none) -> ApiVersionsResponse:
        ranges: dict[int, tuple[int, int]] = {}
        for api in self.table:
            first, _ = ranges.get(api.key, (api.first, api.last))
            ranges[api.key] = (first, api.last)
        rows = (
            ApiVersion(api_key=i16(key), min_version=i16(first), max_version=i16(last))
            for key, (first, last) in sorted(ranges.items())
        )
        return ApiVersionsResponse(error_code=error, api_keys=tuple(rows), throttle_time=NO_THROTTLE)

    def hub_names(self, request: Any) -> list[str]:
        """The hubs that a request names, by their names or their ids; an unknown id names none."""
        topics = [*(getattr(request, "topics", None) or ()), *getattr(request, "topic_data", ())]
        return [name for name in map(self._hub_name, topics) if name]

    def _hub_name(self, topic: Any) -> str:
        name = getattr(topic, "topic", None) or getattr(topic, "name", None)
        if name or getattr(topic, "topic_id", None) is None:
            return str(name or "")
        return next((hub.name for hub in self._namespace.store.hubs() if topic_id(hub) == topic.topic_id), "")


def random_producer_id() -> int:
    """Unlike any other, without a counter that would have to survive crashes."""
    return secrets.randbits(62)
