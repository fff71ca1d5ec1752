"""CreatePartitions: a hub grows, and never shrinks."""

from collections import Counter

from kio.schema.create_partitions.v3 import CreatePartitionsRequest, CreatePartitionsResponse
from kio.schema.create_partitions.v3.request import CreatePartitionsTopic
from kio.schema.create_partitions.v3.response import CreatePartitionsTopicResult
from kio.schema.errors import ErrorCode

from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub
from localcloud.kafka.primitives import NO_THROTTLE
from localcloud.kafka.topic_creation import MAX_PARTITIONS
from localcloud.log.errors import PartitionCountError
from localcloud.sas import Right
from localcloud.standard_tier import GROWS_NOT

_Failure = tuple[ErrorCode, str | None]


def create_partitions(
    namespace: KafkaNamespace, client: KafkaClient, request: CreatePartitionsRequest
) -> CreatePartitionsResponse:
    named = Counter(wanted.name for wanted in request.topics)
    results = []
    for wanted in request.topics:
        failure: _Failure = ErrorCode.invalid_request, f"The request names {wanted.name[:100]!r} more than once."
        if named[wanted.name] == 1:
            failure = _grown(namespace, client, wanted, request.validate_only)
        results.append(CreatePartitionsTopicResult(name=wanted.name, error_code=failure[0], error_message=failure[1]))
    return CreatePartitionsResponse(throttle_time=NO_THROTTLE, results=tuple(results))


def _grown(namespace: KafkaNamespace, client: KafkaClient, wanted: CreatePartitionsTopic, dry_run: bool) -> _Failure:
    hub = find_hub(namespace, client, wanted.name, Right.MANAGE)
    if isinstance(hub, ErrorCode):
        return hub, None
    if namespace.standard:
        return ErrorCode.policy_violation, GROWS_NOT
    try:
        namespace.store.check_growth(wanted.name, wanted.count)
        if wanted.count > MAX_PARTITIONS:
            return ErrorCode.invalid_partitions, f"{wanted.count} partitions; a hub has 1 to {MAX_PARTITIONS}."
        added = wanted.count - len(hub.partitions)
        if wanted.assignments is not None and len(wanted.assignments) != added:
            seen = len(wanted.assignments)
            return ErrorCode.invalid_replica_assignment, f"{seen} assignments for {added} added partitions."
        if not dry_run:
            namespace.store.grow_hub(wanted.name, wanted.count)
    except PartitionCountError as refused:
        return ErrorCode.invalid_partitions, str(refused)
    except OSError as failed:
        return ErrorCode.kafka_storage_error, str(failed)
    return ErrorCode.none, None
