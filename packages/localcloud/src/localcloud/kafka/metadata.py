"""Metadata, DescribeCluster: one broker, which leads everything."""

import uuid

from kio.schema.describe_cluster.v0 import DescribeClusterRequest, DescribeClusterResponse
from kio.schema.describe_cluster.v0.response import DescribeClusterBroker
from kio.schema.errors import ErrorCode
from kio.schema.metadata import v10
from kio.schema.metadata.v10.response import MetadataResponseBroker as MetadataResponseBrokerV10
from kio.schema.metadata.v12 import MetadataRequest, MetadataResponse
from kio.schema.metadata.v12.request import MetadataRequestTopic
from kio.schema.metadata.v12.response import MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic

from localcloud.kafka.namespace import CLUSTER_ID, KafkaClient, KafkaNamespace, find_hub, find_hub_by_id, topic_id
from localcloud.kafka.primitives import LEADER_EPOCH, NO_THROTTLE, NODE, i32, topic
from localcloud.kafka.topic_creation import create_on_demand
from localcloud.log.store import Hub, is_hub_name

IDS_FROM = 12
"""The version from which on a request may name topics by their ids (KIP-516)."""


def metadata(
    namespace: KafkaNamespace, client: KafkaClient, request: MetadataRequest, version: int
) -> MetadataResponse | v10.MetadataResponse:
    """What clients must know of the hubs: of all when none are named, else of those that are named.

    With `create_topics` a hub that is not there is created, unless the request forbids it.
    """
    # Version 0 has no way to say "none": an empty list asks for all, as null does later.
    if request.topics is None or (version == 0 and not request.topics):
        topics = [_described(hub, hub.name) for hub in namespace.store.hubs() if client.may_use(hub.name)]
    else:
        create = namespace.create_topics and request.allow_auto_topic_creation
        topics = [_named(namespace, client, wanted, version, create) for wanted in request.topics]
    if version > 10:
        return MetadataResponse(
            throttle_time=NO_THROTTLE,
            brokers=(MetadataResponseBroker(node_id=NODE, host=namespace.host, port=i32(namespace.port)),),
            cluster_id=CLUSTER_ID,
            controller_id=NODE,
            topics=tuple(topics),
        )
    return v10.MetadataResponse(
        throttle_time=NO_THROTTLE,
        brokers=(MetadataResponseBrokerV10(node_id=NODE, host=namespace.host, port=i32(namespace.port)),),
        cluster_id=CLUSTER_ID,
        controller_id=NODE,
        topics=tuple(topics),  # type: ignore[arg-type] # the topics of both versions have the same fields
    )


def _named(
    namespace: KafkaNamespace, client: KafkaClient, wanted: MetadataRequestTopic, version: int, create: bool
) -> MetadataResponseTopic:
    if wanted.topic_id is not None and version >= IDS_FROM:
        by_id = find_hub_by_id(namespace, client, wanted.topic_id)
        if isinstance(by_id, ErrorCode):
            return _failed(by_id, wanted.name, wanted.topic_id)
        return _described(by_id, by_id.name)
    if wanted.topic_id is not None or wanted.name is None:
        return _failed(ErrorCode.invalid_request, wanted.name or "", wanted.topic_id)
    found = find_hub(namespace, client, wanted.name)
    if found is ErrorCode.unknown_topic_or_partition:
        if not is_hub_name(wanted.name):
            found = ErrorCode.invalid_topic_exception
        elif create:
            found = create_on_demand(namespace, client, wanted.name)
    if isinstance(found, ErrorCode):
        return _failed(found, wanted.name, None)
    return _described(found, wanted.name)


def _failed(error: ErrorCode, name: str | None, number: uuid.UUID | None) -> MetadataResponseTopic:
    named = None if name is None else topic(name)
    return MetadataResponseTopic(error_code=error, name=named, topic_id=number, partitions=())


def _described(hub: Hub, name: str) -> MetadataResponseTopic:
    """Under the name that was asked for: clients look their answer up by it."""
    return MetadataResponseTopic(
        error_code=ErrorCode.none,
        name=topic(name),
        topic_id=topic_id(hub),
        partitions=tuple(
            MetadataResponsePartition(
                error_code=ErrorCode.none,
                partition_index=i32(number),
                leader_id=NODE,
                leader_epoch=LEADER_EPOCH,
                replica_nodes=(NODE,),
                isr_nodes=(NODE,),
            )
            for number in range(len(hub.partitions))
        ),
    )


def describe_cluster(namespace: KafkaNamespace, _request: DescribeClusterRequest) -> DescribeClusterResponse:
    return DescribeClusterResponse(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none,
        cluster_id=CLUSTER_ID,
        controller_id=NODE,
        brokers=(DescribeClusterBroker(broker_id=NODE, host=namespace.host, port=i32(namespace.port)),),
    )
