"""What nobody understands, kept in `parked-events` until somebody does."""

from msgspec import Struct


class Parked(Struct, frozen=True, rename="camel"):
    """An event that could not be understood, as it is kept in `parked-events`. `body` is base64."""

    id: str
    hub: str
    partition: int
    offset: int
    reason: str
    detail: str
    body: str
