"""Hubs that Kafka clients create: by CreateTopics, or by asking for the metadata of one that is not there."""

import logging
from collections import Counter

from kio.schema.create_topics.v7 import CreateTopicsRequest, CreateTopicsResponse
from kio.schema.create_topics.v7.request import CreatableTopic
from kio.schema.create_topics.v7.response import CreatableTopicResult
from kio.schema.errors import ErrorCode

from localcloud.config import HubConfig
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, topic_id
from localcloud.kafka.primitives import NO_THROTTLE, i16, i32
from localcloud.kafka.topic_configs import InvalidTopicConfigError, hub_config
from localcloud.log.errors import HubExistsError, InvalidHubNameError
from localcloud.log.store import Hub
from localcloud.sas import Right
from localcloud.standard_tier import TierLimitError, check_hub

log = logging.getLogger(__name__)

MAX_PARTITIONS = 32
"""What the Standard tier allows a hub."""
DEFAULT_PARTITIONS = 1
_UNSET = -1
NOT_CREATED = (
    "Event hubs are not created and not deleted over Kafka in this namespace: declare the hub in the configuration and "
    "restart, or start localcloud with --create-topics."
)

_Failure = tuple[ErrorCode, str]


def create_on_demand(namespace: KafkaNamespace, client: KafkaClient, name: str) -> Hub | ErrorCode:
    """The hub that a client asked the metadata of: as the configuration declares it, else with what are defaults."""
    if not client.may_use(name, Right.MANAGE):
        return ErrorCode.topic_authorization_failed
    config = namespace.store.declaration(name) or HubConfig(name, DEFAULT_PARTITIONS)
    try:
        if namespace.standard:
            check_hub(config, (hub.name for hub in namespace.store.hubs()))
        hub = namespace.store.create_hub(config)
    except InvalidHubNameError:
        return ErrorCode.invalid_topic_exception
    except TierLimitError as exceeded:
        log.warning("event hub %s is not created on demand: %s", name, exceeded)
        return ErrorCode.policy_violation
    except OSError as failed:
        log.warning("event hub %s could not be created on demand: %s", name, failed)
        return ErrorCode.kafka_storage_error
    log.info("event hub %s was created on demand, with %d partitions", hub.name, len(hub.partitions))
    return hub


def create_topics(namespace: KafkaNamespace, client: KafkaClient, request: CreateTopicsRequest) -> CreateTopicsResponse:
    named = Counter(wanted.name for wanted in request.topics)
    rows = []
    for wanted in request.topics:
        if named[wanted.name] > 1:
            outcome: Hub | HubConfig | _Failure = (
                ErrorCode.invalid_request,
                f"The request names {wanted.name[:100]!r} more than once.",
            )
        else:
            outcome = _created(namespace, client, wanted, request.validate_only)
        rows.append(_result(wanted.name, outcome))
    return CreateTopicsResponse(throttle_time=NO_THROTTLE, topics=tuple(rows))


def _created(
    namespace: KafkaNamespace, client: KafkaClient, wanted: CreatableTopic, dry_run: bool
) -> Hub | HubConfig | _Failure:
    """The hub; on a dry run what it would be."""
    if not namespace.create_topics or not client.may_use(wanted.name, Right.MANAGE):
        return ErrorCode.topic_authorization_failed, NOT_CREATED
    failure = _shape_failure(wanted)
    if failure is not None:
        return failure
    partitions = len(wanted.assignments) or (
        DEFAULT_PARTITIONS if wanted.num_partitions == _UNSET else wanted.num_partitions
    )
    try:
        config = hub_config(wanted.name, partitions, [(each.name, each.value) for each in wanted.configs])
        namespace.store.check_new(config)
        if namespace.standard:
            check_hub(config, (hub.name for hub in namespace.store.hubs()))
        return config if dry_run else namespace.store.create_hub(config)
    except HubExistsError as exists:
        return ErrorCode.topic_already_exists, str(exists)
    except TierLimitError as exceeded:
        return ErrorCode.policy_violation, str(exceeded)
    except InvalidHubNameError as invalid:
        return ErrorCode.invalid_topic_exception, str(invalid)
    except InvalidTopicConfigError as invalid:
        return ErrorCode.invalid_config, str(invalid)
    except OSError as failed:
        return ErrorCode.kafka_storage_error, str(failed)


def _shape_failure(wanted: CreatableTopic) -> _Failure | None:
    """What is wrong with the numbers of a topic. There is one broker; more replicas than it can hold are let pass, as
    Event Hubs has replicas of its own.
    """
    count, replicas, assigned = wanted.num_partitions, wanted.replication_factor, wanted.assignments
    if assigned:
        if count != _UNSET or replicas != _UNSET:
            return ErrorCode.invalid_request, "Assignments leave no choice of partitions and replicas: expected -1."
        numbers = sorted(each.partition_index for each in assigned)
        if numbers != list(range(len(assigned))) or any(not each.broker_ids for each in assigned):
            return ErrorCode.invalid_replica_assignment, "Assignments name partitions from 0 on, each with a broker."
        count = i32(len(assigned))
    elif replicas < 1 and replicas != _UNSET:
        return ErrorCode.invalid_replication_factor, f"{replicas} replicas; expected 1 or more, or -1 for the default."
    if count != _UNSET and not 1 <= count <= MAX_PARTITIONS:
        return ErrorCode.invalid_partitions, f"{count} partitions; a hub has 1 to {MAX_PARTITIONS}."
    return None


def _result(name: str, outcome: Hub | HubConfig | _Failure) -> CreatableTopicResult:
    if isinstance(outcome, tuple):
        error, message = outcome
        return CreatableTopicResult(
            name=name,  # type: ignore[arg-type] # it is as it came
            topic_id=None,
            error_code=error,
            error_message=message,
            num_partitions=i32(-1),
            replication_factor=i16(-1),
            configs=None,
        )
    partitions = len(outcome.partitions) if isinstance(outcome, Hub) else outcome.partitions
    return CreatableTopicResult(
        name=name,  # type: ignore[arg-type] # likewise
        topic_id=topic_id(outcome) if isinstance(outcome, Hub) else None,
        error_code=ErrorCode.none,
        error_message=None,
        num_partitions=i32(partitions),
        replication_factor=i16(1),
        configs=(),
    )
