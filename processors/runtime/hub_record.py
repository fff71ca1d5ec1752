"""An event of a hub, independent of the SDK that received it."""

from datetime import datetime

from msgspec import Struct


class HubRecord(Struct, frozen=True, gc=False):
    """An event of a partition: its sequence number, when the hub enqueued it (None where not known), its bytes."""

    position: int
    enqueued_at: datetime | None
    body: bytes
