"""DeleteTopics and DescribeConfigs."""

from collections import Counter
from collections.abc import Sequence

from kio.schema.delete_topics.v5 import DeleteTopicsRequest as DeleteTopicsRequestV5
from kio.schema.delete_topics.v6 import DeleteTopicsRequest, DeleteTopicsResponse
from kio.schema.delete_topics.v6.request import DeleteTopicState
from kio.schema.delete_topics.v6.response import DeletableTopicResult
from kio.schema.describe_configs.v4 import DescribeConfigsRequest, DescribeConfigsResponse
from kio.schema.describe_configs.v4.request import DescribeConfigsResource
from kio.schema.describe_configs.v4.response import DescribeConfigsResult
from kio.schema.errors import ErrorCode

from localcloud.kafka.committed_offsets import CommittedOffsets
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub, find_hub_by_id
from localcloud.kafka.primitives import NO_THROTTLE, NODE
from localcloud.kafka.topic_configs import broker_values, described, topic_values
from localcloud.kafka.topic_creation import NOT_CREATED
from localcloud.log.errors import LogError
from localcloud.log.store import Hub, is_hub_name
from localcloud.sas import Right

_TOPIC, _BROKER = 2, 4

_Failure = tuple[ErrorCode, str | None]


class TopicDeletion:
    """DeleteTopics: a hub goes with its events, and with what groups have committed of it."""

    def __init__(self, namespace: KafkaNamespace, committed: CommittedOffsets) -> None:
        self._namespace = namespace
        self._committed = committed

    async def delete_named(self, client: KafkaClient, request: DeleteTopicsRequestV5) -> DeleteTopicsResponse:
        """Before version 6 a request could only name topics."""
        return await self._delete_all(
            client, [DeleteTopicState(name=name, topic_id=None) for name in request.topic_names]
        )

    async def delete(self, client: KafkaClient, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
        return await self._delete_all(client, request.topics)

    async def _delete_all(self, client: KafkaClient, topics: Sequence[DeleteTopicState]) -> DeleteTopicsResponse:
        named = Counter((wanted.name, wanted.topic_id) for wanted in topics)
        rows = []
        for wanted in topics:
            failure: _Failure = ErrorCode.invalid_request, "The request names a topic more than once."
            if named[wanted.name, wanted.topic_id] == 1:
                failure = await self._delete(client, wanted)
            rows.append(
                DeletableTopicResult(
                    name=wanted.name, topic_id=wanted.topic_id, error_code=failure[0], error_message=failure[1]
                )
            )
        return DeleteTopicsResponse(throttle_time=NO_THROTTLE, responses=tuple(rows))

    async def _delete(self, client: KafkaClient, wanted: DeleteTopicState) -> _Failure:
        namespace = self._namespace
        if (wanted.name is None) == (wanted.topic_id is None):
            return ErrorCode.invalid_request, "A topic is named by its name or by its id; expected one of them."
        if not namespace.create_topics:
            return ErrorCode.topic_authorization_failed, NOT_CREATED
        hub = (
            find_hub_by_id(namespace, client, wanted.topic_id, Right.MANAGE)
            if wanted.name is None
            else find_hub(namespace, client, wanted.name, Right.MANAGE)
        )
        if isinstance(hub, ErrorCode):
            return hub, None
        try:
            namespace.store.delete_hub(hub.name)
            await self._committed.forget_hub(hub.name, namespace.now_ms())
        except (OSError, LogError) as failed:
            return ErrorCode.kafka_storage_error, str(failed)
        return ErrorCode.none, None


def describe_configs(
    namespace: KafkaNamespace, client: KafkaClient, request: DescribeConfigsRequest
) -> DescribeConfigsResponse:
    results = tuple(_described(namespace, client, each, request.include_synonyms) for each in request.resources)
    return DescribeConfigsResponse(throttle_time=NO_THROTTLE, results=results)


def _described(
    namespace: KafkaNamespace, client: KafkaClient, wanted: DescribeConfigsResource, synonyms: bool
) -> DescribeConfigsResult:
    values = _values(namespace, client, wanted)
    failure: _Failure = (ErrorCode.none, None)
    if isinstance(values, tuple):
        failure, values = values, {}
    keys = wanted.configuration_keys or None  # none named: all, whichever way it is said
    return DescribeConfigsResult(
        error_code=failure[0],
        error_message=failure[1],
        resource_type=wanted.resource_type,
        resource_name=wanted.resource_name,
        configs=tuple(
            described(name, value, synonyms=synonyms) for name, value in values.items() if keys is None or name in keys
        ),
    )


def _values(
    namespace: KafkaNamespace, client: KafkaClient, wanted: DescribeConfigsResource
) -> dict[str, str] | _Failure:
    name = wanted.resource_name
    if wanted.resource_type == _BROKER:
        if name not in ("", str(NODE)):
            return ErrorCode.invalid_request, f"Broker {name[:100]!r}; expected {NODE}, the one that there is."
        return broker_values(namespace.create_topics)
    if wanted.resource_type != _TOPIC:
        return (
            ErrorCode.invalid_request,
            f"Resource type {wanted.resource_type}; expected {_TOPIC} (topic) or {_BROKER} (broker).",
        )
    hub: Hub | ErrorCode = find_hub(namespace, client, name)
    if hub is ErrorCode.unknown_topic_or_partition and not is_hub_name(name):
        return ErrorCode.invalid_topic_exception, f"{name[:100]!r} is no name for a topic."
    return (hub, None) if isinstance(hub, ErrorCode) else topic_values(hub)
