"""Metadata, DescribeCluster: one broker, which leads everything. Nothing is ever created by asking for it."""

import uuid

from kio.schema.describe_cluster.v1 import DescribeClusterRequest, DescribeClusterResponse
from kio.schema.describe_cluster.v1.response import DescribeClusterBroker
from kio.schema.errors import ErrorCode
from kio.schema.metadata.v10 import MetadataRequest, MetadataResponse
from kio.schema.metadata.v10.response import (
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

from localcloud.kafka.namespace import CLUSTER_ID, KafkaClient, KafkaNamespace, find_hub
from localcloud.kafka.primitives import LEADER_EPOCH, NO_THROTTLE, NODE, i32, topic
from localcloud.log.store import Hub

_TOPIC_IDS = uuid.UUID("6f1f9f2e-3c86-4f0e-a3c5-50a9d0e6a1c1")


def topic_id(hub: Hub) -> uuid.UUID:
    """Stable for as long as the hub exists, and another one when it is created anew."""
    return uuid.uuid5(_TOPIC_IDS, f"{hub.name.lower()}@{hub.created_at_ms}")


def metadata(
    namespace: KafkaNamespace, client: KafkaClient, request: MetadataRequest, version: int
) -> MetadataResponse:
    # Version 0 has no way to say "none": an empty list asks for all, as null does later.
    if request.topics is None or (version == 0 and not request.topics):
        topics = [_described(hub, hub.name) for hub in namespace.store.hubs() if client.may_use(hub.name)]
    else:
        topics = [_asked(namespace, client, asked.name or "") for asked in request.topics]
    broker = MetadataResponseBroker(node_id=NODE, host=namespace.host, port=i32(namespace.port))
    return MetadataResponse(
        throttle_time=NO_THROTTLE,
        brokers=(broker,),
        cluster_id=CLUSTER_ID,
        controller_id=NODE,
        topics=tuple(topics),
    )


def describe_cluster(namespace: KafkaNamespace, request: DescribeClusterRequest) -> DescribeClusterResponse:
    broker = DescribeClusterBroker(broker_id=NODE, host=namespace.host, port=i32(namespace.port))
    return DescribeClusterResponse(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none,
        endpoint_type=request.endpoint_type,
        cluster_id=CLUSTER_ID,
        controller_id=NODE,
        brokers=(broker,),
    )


def _asked(namespace: KafkaNamespace, client: KafkaClient, name: str) -> MetadataResponseTopic:
    found = find_hub(namespace, client, name)
    if isinstance(found, ErrorCode):
        return MetadataResponseTopic(error_code=found, name=topic(name), topic_id=None, partitions=())
    return _described(found, name)


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
