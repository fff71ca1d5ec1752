"""FindCoordinator: the one broker coordinates every group, and there are no transactions."""

from kio.schema.errors import ErrorCode
from kio.schema.find_coordinator import v3
from kio.schema.find_coordinator.v4 import FindCoordinatorRequest, FindCoordinatorResponse
from kio.schema.find_coordinator.v4.response import Coordinator as CoordinatorRow
from kio.schema.types import BrokerId

from localcloud.kafka.namespace import KafkaNamespace
from localcloud.kafka.primitives import NO_THROTTLE, NODE, i32

_GROUP, _TRANSACTION = 0, 1


def find_coordinators(namespace: KafkaNamespace, request: FindCoordinatorRequest) -> FindCoordinatorResponse:
    node, host, port, error, message = _found(namespace, request.key_type)
    return FindCoordinatorResponse(
        throttle_time=NO_THROTTLE,
        coordinators=tuple(
            CoordinatorRow(key=key, node_id=node, host=host, port=i32(port), error_code=error, error_message=message)
            for key in request.coordinator_keys
        ),
    )


def find_coordinator(namespace: KafkaNamespace, request: v3.FindCoordinatorRequest) -> v3.FindCoordinatorResponse:
    """Before version 4 a request was about one key."""
    node, host, port, error, message = _found(namespace, request.key_type)
    return v3.FindCoordinatorResponse(
        throttle_time=NO_THROTTLE, error_code=error, error_message=message, node_id=node, host=host, port=i32(port)
    )


def _found(namespace: KafkaNamespace, key_type: int) -> tuple[BrokerId, str, int, ErrorCode, str | None]:
    """Node, host, port, error, message."""
    if key_type == _GROUP:
        return NODE, namespace.host, namespace.port, ErrorCode.none, None
    if key_type == _TRANSACTION:
        error, message = ErrorCode.transactional_id_authorization_failed, "Transactions are not available here."
    else:
        error, message = ErrorCode.invalid_request, f"Key type {key_type}; expected {_GROUP} (group)."
    return BrokerId(-1), "", -1, error, message
