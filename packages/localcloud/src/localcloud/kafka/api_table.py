"""Which APIs and versions the endpoint has, and who handles them."""

import secrets
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final, NamedTuple

from kio.schema.api_versions.v4 import ApiVersionsRequest, ApiVersionsResponse
from kio.schema.api_versions.v4.response import ApiVersion
from kio.schema.create_partitions.v3 import CreatePartitionsRequest
from kio.schema.create_topics.v7 import CreateTopicsRequest
from kio.schema.delete_groups.v2 import DeleteGroupsRequest
from kio.schema.delete_topics.v5 import DeleteTopicsRequest
from kio.schema.describe_cluster.v1 import DescribeClusterRequest
from kio.schema.describe_configs.v4 import DescribeConfigsRequest
from kio.schema.describe_groups.v5 import DescribeGroupsRequest
from kio.schema.errors import ErrorCode
from kio.schema.fetch.v12 import FetchRequest
from kio.schema.find_coordinator import v3 as find_v3
from kio.schema.find_coordinator.v4 import FindCoordinatorRequest, FindCoordinatorResponse
from kio.schema.find_coordinator.v4.response import Coordinator as CoordinatorRow
from kio.schema.heartbeat.v4 import HeartbeatRequest
from kio.schema.init_producer_id.v4 import InitProducerIdRequest
from kio.schema.join_group.v9 import JoinGroupRequest
from kio.schema.leave_group import v2 as leave_v2
from kio.schema.leave_group.v5 import LeaveGroupRequest
from kio.schema.list_groups.v4 import ListGroupsRequest
from kio.schema.list_offsets.v7 import ListOffsetsRequest
from kio.schema.metadata.v10 import MetadataRequest
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
from localcloud.kafka.fetch import fetch
from localcloud.kafka.group_admin import GroupAdmin
from localcloud.kafka.group_coordinator import GroupCoordinator
from localcloud.kafka.group_offsets import GroupOffsets
from localcloud.kafka.metadata import describe_cluster, metadata
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace
from localcloud.kafka.partition_offsets import list_offsets, offset_for_leader_epoch
from localcloud.kafka.primitives import NO_THROTTLE, NODE, i16, i32
from localcloud.kafka.produce_handler import ProduceHandler
from localcloud.kafka.topic_admin import create_topics, delete_topics, describe_configs
from localcloud.kafka.topic_growth import create_partitions

PRODUCE: Final = 0
SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
SASL_AUTHENTICATE: Final = 36
_GROUP = 0

Handler = Callable[[KafkaClient, Any, int], Entity | Awaitable[Entity]]


class Api(NamedTuple):
    """Versions `first` to `last` of one API: the class its requests are lifted to, and who handles them."""

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
        self._namespace = namespace
        self.table = (
            Api(PRODUCE, 3, 9, ProduceRequest, lambda client, request, _: producing.produce(client, request)),
            Api(1, 4, 12, FetchRequest, lambda client, request, _: fetch(ns, client, request)),
            Api(2, 1, 7, ListOffsetsRequest, lambda client, request, _: list_offsets(ns, client, request)),
            Api(3, 0, 10, MetadataRequest, lambda client, request, version: metadata(ns, client, request, version)),
            Api(8, 2, 8, OffsetCommitRequest, lambda client, request, _: positions.commit(client, request)),
            Api(9, 1, 7, fetch_v7.OffsetFetchRequest,
                lambda client, request, _: positions.fetch_of_one(client, request)),
            Api(9, 8, 8, OffsetFetchRequest, lambda client, request, _: positions.fetch(client, request)),
            Api(10, 0, 3, find_v3.FindCoordinatorRequest, lambda _, request, __: self._find_one(request)),
            Api(10, 4, 4, FindCoordinatorRequest, lambda _, request, __: self._find(request)),
            Api(11, 0, 9, JoinGroupRequest, lambda client, request, version: groups.join(client, request, version)),
            Api(12, 0, 4, HeartbeatRequest, lambda _, request, __: groups.heartbeat(request)),
            Api(13, 0, 2, leave_v2.LeaveGroupRequest, lambda _, request, __: groups.leave_alone(request)),
            Api(13, 3, 5, LeaveGroupRequest, lambda _, request, __: groups.leave(request)),
            Api(14, 0, 5, SyncGroupRequest, lambda _, request, __: groups.sync(request)),
            Api(15, 0, 5, DescribeGroupsRequest, lambda _, request, __: group_admin.describe(request)),
            Api(16, 0, 4, ListGroupsRequest, lambda _, request, __: group_admin.list_all(request)),
            Api(SASL_HANDSHAKE, 0, 1, SaslHandshakeRequest, None),
            Api(API_VERSIONS, 0, 4, ApiVersionsRequest, lambda _, __, ___: self.versions()),
            Api(19, 2, 7, CreateTopicsRequest, lambda client, request, _: create_topics(ns, client, request)),
            Api(20, 1, 5, DeleteTopicsRequest,
                lambda client, request, _: delete_topics(ns, committed, client, request)),
            Api(22, 0, 4, InitProducerIdRequest, lambda _, request, __: producing.init_producer_id(request)),
            Api(23, 2, 4, OffsetForLeaderEpochRequest,
                lambda client, request, _: offset_for_leader_epoch(ns, client, request)),
            Api(32, 1, 4, DescribeConfigsRequest, lambda client, request, _: describe_configs(ns, client, request)),
            Api(SASL_AUTHENTICATE, 0, 2, SaslAuthenticateRequest, None),
            Api(37, 0, 3, CreatePartitionsRequest, lambda client, request, _: create_partitions(ns, client, request)),
            Api(42, 0, 2, DeleteGroupsRequest, lambda _, request, __: group_admin.delete(request)),
            Api(60, 0, 1, DescribeClusterRequest, lambda _, request, __: describe_cluster(ns, request)),
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

    def _find(self, request: FindCoordinatorRequest) -> FindCoordinatorResponse:
        error, message = _coordinator_error(request.key_type)
        return FindCoordinatorResponse(
            throttle_time=NO_THROTTLE,
            coordinators=tuple(
                CoordinatorRow(
                    key=key,
                    node_id=NODE,
                    host=self._namespace.host,
                    port=i32(self._namespace.port),
                    error_code=error,
                    error_message=message,
                )
                for key in request.coordinator_keys
            ),
        )

    def _find_one(self, request: find_v3.FindCoordinatorRequest) -> find_v3.FindCoordinatorResponse:
        error, message = _coordinator_error(request.key_type)
        return find_v3.FindCoordinatorResponse(
            throttle_time=NO_THROTTLE,
            error_code=error,
            error_message=message,
            node_id=NODE,
            host=self._namespace.host,
            port=i32(self._namespace.port),
        )


def _coordinator_error(key_type: int) -> tuple[ErrorCode, str | None]:
    if key_type == _GROUP:
        return ErrorCode.none, None
    return ErrorCode.transactional_id_authorization_failed, "Transactions are not available here."


def random_producer_id() -> int:
    """Unlike any other, without a counter that would have to survive crashes."""
    return secrets.randbits(62)
