"""`$management`: what a hub and its partitions are (Azure's operation READ)."""

from typing import Final

from localcloud.amqp.errors import INVALID_FIELD, NOT_FOUND, NOT_IMPLEMENTED, UNAUTHORIZED_ACCESS, AmqpError
from localcloud.amqp.link import LinkConnection
from localcloud.amqp.message import Message
from localcloud.amqp.receiving_link import ReceivingLink
from localcloud.amqp.types import Array, Int, Map, Symbol, Timestamp
from localcloud.eventhubs.addresses import find_hub, find_partition
from localcloud.log.store import Hub, LogStore

ADDRESS: Final = "$management"
HUB: Final = "com.microsoft:eventhub"
PARTITION: Final = "com.microsoft:partition"
_STATUS: Final = {NOT_FOUND: 404, UNAUTHORIZED_ACCESS: 401, NOT_IMPLEMENTED: 501, INVALID_FIELD: 400}


class HubManagement:
    """Answers requests about the hubs of `store`."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def handle(self, request: Message, link: ReceivingLink) -> Message:
        """Application properties of the request: operation, type, name, and partition for a partition."""
        try:
            body = self._read(request.application_properties, link)
        except AmqpError as error:
            return _answer(_STATUS[error.condition], error.description, error.condition)
        return _answer(200, "OK", body=body)

    def _read(self, request: Map, link: ReceivingLink) -> Map:
        operation, kind, name = (request.get(key) for key in ("operation", "type", "name"))
        if operation != "READ":
            raise AmqpError(NOT_IMPLEMENTED, f"the operation {operation!r} is unknown: the one there is is READ")
        if not isinstance(name, str):
            raise AmqpError(INVALID_FIELD, "the property 'name' has to be the hub's name")
        self._authorize(request, f"{name}/{ADDRESS}", link.session.connection)
        hub = find_hub(self._store, name)
        if kind == HUB:
            return _hub(hub)
        if kind == PARTITION:
            return _partition(hub, str(request.get("partition")))
        raise AmqpError(INVALID_FIELD, f"the type {kind!r} is unknown: expected {HUB} or {PARTITION}")

    def _authorize(self, request: Map, path: str, connection: LinkConnection) -> None:
        """Raises AmqpError (unauthorized).

        A token in the request decides alone: clients put one for the hub's `$management` to `$cbs`, and send one for
        the hub with each request. Without it, the connection's own rights do.
        """
        token = request.get("security_token")
        if token is None:
            connection.authorize(path)
        else:
            connection.authorize_by(token, path)


def _hub(hub: Hub) -> Map:
    return {
        "name": hub.name,
        "type": HUB,
        "created_at": Timestamp(hub.created_at_ms),
        "partition_count": Int(len(hub.partitions)),
        "partition_ids": Array(tuple(str(number) for number in range(len(hub.partitions)))),
    }


def _partition(hub: Hub, number: str) -> Map:
    partition = find_partition(hub, number)
    last = partition.high_watermark - 1
    return {
        "name": hub.name,
        "type": PARTITION,
        "partition": number,
        "begin_sequence_number": partition.start_offset,
        "last_enqueued_sequence_number": last,
        "last_enqueued_offset": str(last),
        "last_enqueued_time_utc": Timestamp(max(0, partition.last_enqueued_ms)),
        "is_partition_empty": last < partition.start_offset,
    }


def _answer(status: int, description: str, condition: Symbol | None = None, body: Map | None = None) -> Message:
    properties: Map = {
        "status-code": Int(status),
        "statusCode": Int(status),
        "status-description": description,
        "statusDescription": description,
    }
    if condition is not None:
        properties |= {"error-condition": condition, "errorCondition": condition}
    return Message(application_properties=properties, body=body)
