"""An event of a hub, independent of the SDK that received it."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, structs


class HubRecord(Struct, frozen=True, gc=False):
    """An event of a partition: its sequence number, when the hub enqueued it (None where not known), its bytes."""

    position: int
    enqueued_at: datetime | None
    body: bytes


def enqueued_seconds(records: Sequence[HubRecord]) -> list[int]:
    """When the hub took each of the records, in whole Unix seconds; 0 where that is not known."""
    return [0 if one.enqueued_at is None else int(one.enqueued_at.timestamp()) for one in records]


def with_bodies(records: Sequence[HubRecord], bodies: Sequence[bytes]) -> list[HubRecord]:
    """The records with these bodies in their order. A record whose body is the same object stays as it is."""
    return [
        record if body is record.body else structs.replace(record, body=body)
        for record, body in zip(records, bodies, strict=True)
    ]
