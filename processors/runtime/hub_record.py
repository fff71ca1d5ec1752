"""An event as the hub has it."""

from datetime import datetime

from msgspec import Struct


class HubRecord(Struct, frozen=True, gc=False):
    """An event of a partition as the hub has it: its sequence number, when it was logged, its bytes."""

    position: int
    logged: datetime | None
    body: bytes
