"""CreateTopics, DeleteTopics, DescribeConfigs.

A namespace's hubs are declared elsewhere, unless the endpoint is told to create them on demand.
"""

from kio.schema.create_topics.v7 import CreateTopicsRequest, CreateTopicsResponse
from kio.schema.create_topics.v7.request import CreatableTopic
from kio.schema.create_topics.v7.response import CreatableTopicResult
from kio.schema.delete_topics.v5 import DeleteTopicsRequest, DeleteTopicsResponse
from kio.schema.delete_topics.v5.response import DeletableTopicResult
from kio.schema.describe_configs.v4 import DescribeConfigsRequest, DescribeConfigsResponse
from kio.schema.describe_configs.v4.request import DescribeConfigsResource
from kio.schema.describe_configs.v4.response import DescribeConfigsResourceResult, DescribeConfigsResult
from kio.schema.errors import ErrorCode

from localcloud.config import HubConfig
from localcloud.kafka.committed_offsets import CommittedOffsets
from localcloud.kafka.metadata import topic_id
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub
from localcloud.kafka.primitives import NO_THROTTLE, i8, i16, i32
from localcloud.kafka.produce_handler import MAX_BATCH_BYTES
from localcloud.log.errors import HubExistsError, InvalidHubNameError
from localcloud.log.store import Hub

MAX_PARTITIONS = 32
"""What the Standard tier allows a hub."""
_TOPIC, _BROKER = 2, 4
_STRING, _LONG = i8(2), i8(5)
_TOPIC_CONFIG, _DEFAULT_CONFIG = i8(1), i8(5)
_DISABLED = (
    "Event hubs are not created over Kafka in this namespace: declare the hub in the configuration and restart, or "
    "start the endpoint with auto_create."
)


def create_topics(namespace: KafkaNamespace, client: KafkaClient, request: CreateTopicsRequest) -> CreateTopicsResponse:
    topics = tuple(_created(namespace, client, wanted, request.validate_only) for wanted in request.topics)
    return CreateTopicsResponse(throttle_time=NO_THROTTLE, topics=topics)


def _created(
    namespace: KafkaNamespace, client: KafkaClient, wanted: CreatableTopic, dry_run: bool
) -> CreatableTopicResult:
    configs = {config.name: config.value for config in wanted.configs}
    partitions = len(wanted.assignments) or (wanted.num_partitions if wanted.num_partitions != -1 else 1)
    error: tuple[ErrorCode, str] | None = None
    hub: Hub | None = None
    try:
        retention_ms = int(configs.get("retention.ms") or HubConfig(wanted.name, 1).retention_ms or -1)
        compacted = "compact" in (configs.get("cleanup.policy") or "")
        config = HubConfig(
            wanted.name, partitions, compacted=compacted, retention_ms=retention_ms if retention_ms >= 0 else None
        )
        if not namespace.auto_create or not client.may_use(wanted.name):
            error = ErrorCode.topic_authorization_failed, _DISABLED
        elif not 1 <= partitions <= MAX_PARTITIONS:
            error = ErrorCode.invalid_partitions, f"{partitions} partitions; a hub has 1 to {MAX_PARTITIONS}."
        elif dry_run:
            namespace.store.check_new(config)
        else:
            hub = namespace.store.create_hub(config)
    except HubExistsError as exists:
        error = ErrorCode.topic_already_exists, str(exists)
    except InvalidHubNameError as invalid:
        error = ErrorCode.invalid_topic_exception, str(invalid)
    except ValueError:
        error = ErrorCode.invalid_config, f"retention.ms is {configs['retention.ms']!r}; expected milliseconds."
    except OSError as failed:
        error = ErrorCode.kafka_storage_error, str(failed)
    return CreatableTopicResult(
        name=wanted.name,
        topic_id=topic_id(hub) if hub else None,
        error_code=error[0] if error else ErrorCode.none,
        error_message=error[1] if error else None,
        num_partitions=i32(-1 if error else partitions),
        replication_factor=i16(-1 if error else 1),
        configs=None if error else (),
    )


async def delete_topics(
    namespace: KafkaNamespace, committed: CommittedOffsets, client: KafkaClient, request: DeleteTopicsRequest
) -> DeleteTopicsResponse:
    responses = []
    for name in request.topic_names:
        error: ErrorCode = ErrorCode.none
        hub = find_hub(namespace, client, name)
        if not namespace.auto_create:
            error = ErrorCode.topic_authorization_failed
        elif isinstance(hub, ErrorCode):
            error = hub
        else:
            namespace.store.delete_hub(name)
            await committed.forget_hub(name, namespace.now_ms())
        message = _DISABLED if not namespace.auto_create else None
        responses.append(DeletableTopicResult(name=name, error_code=error, error_message=message))
    return DeleteTopicsResponse(throttle_time=NO_THROTTLE, responses=tuple(responses))


def describe_configs(
    namespace: KafkaNamespace, client: KafkaClient, request: DescribeConfigsRequest
) -> DescribeConfigsResponse:
    results = tuple(_configs(namespace, client, resource) for resource in request.resources)
    return DescribeConfigsResponse(throttle_time=NO_THROTTLE, results=results)


def _configs(namespace: KafkaNamespace, client: KafkaClient, wanted: DescribeConfigsResource) -> DescribeConfigsResult:
    error: ErrorCode = ErrorCode.none
    values: dict[str, str] = {}
    if wanted.resource_type == _BROKER:
        values = {"auto.create.topics.enable": "false", "message.max.bytes": str(MAX_BATCH_BYTES)}
    elif wanted.resource_type == _TOPIC:
        hub = find_hub(namespace, client, wanted.resource_name)
        if isinstance(hub, ErrorCode):
            error = hub
        else:
            values = _topic_configs(hub)
    else:
        error = ErrorCode.invalid_request
    keys = wanted.configuration_keys
    return DescribeConfigsResult(
        error_code=error,
        error_message=None,
        resource_type=wanted.resource_type,
        resource_name=wanted.resource_name,
        configs=tuple(
            DescribeConfigsResourceResult(
                name=name,
                value=value,
                read_only=True,
                config_source=_TOPIC_CONFIG if wanted.resource_type == _TOPIC else _DEFAULT_CONFIG,
                is_sensitive=False,
                synonyms=(),
                config_type=_LONG if value.lstrip("-").isdigit() else _STRING,
                documentation=None,
            )
            for name, value in values.items()
            if keys is None or name in keys
        ),
    )


def _topic_configs(hub: Hub) -> dict[str, str]:
    retention_ms = hub.config.retention_ms
    return {
        "cleanup.policy": "compact" if hub.config.compacted else "delete",
        "retention.ms": str(-1 if retention_ms is None or hub.config.compacted else retention_ms),
        "retention.bytes": "-1",
        "max.message.bytes": str(MAX_BATCH_BYTES),
        "message.timestamp.type": "LogAppendTime" if hub.config.append_time else "CreateTime",
        "compression.type": "producer",
        "min.insync.replicas": "1",
    }
