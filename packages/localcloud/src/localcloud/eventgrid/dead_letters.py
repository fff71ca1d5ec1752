"""Dead letters of Event Grid: events that no webhook took, each a blob that says why.

Source: "Dead letter and retry policies": the path, and the properties that are added to an event.
"""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from localcloud.eventgrid.delivery import Attempt, DeadLetterReason


class BlobWriter(Protocol):
    """What makes blobs: `capture.archive_blobs.ArchiveBlobs`."""

    async def write(self, container: str, name: str, pieces: AsyncIterator[bytes]) -> None: ...


def blob_name(topic: str, subscription: str, now: datetime, number: int) -> str:
    """`TOPIC/SUBSCRIPTION/YEAR/MONTH/DAY/HOUR/ID.json`; the same event has the same name at every try."""
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{topic}/{subscription}/{number}")
    path = f"{now.year}/{now.month}/{now.day}/{now.hour}"
    return f"{topic.upper()}/{subscription.upper()}/{path}/{unique}.json"


def dead_letter(
    body: bytes, published_s: float, attempts: int, last: Attempt | None, reason: DeadLetterReason
) -> bytes:
    """The blob: a list of the one event, with the properties of its end after so many attempts."""
    event: dict[str, Any] = msgspec.json.decode(body)
    event["deadletterreason"] = reason
    event["deliveryattempts"] = attempts
    event["deliveryresult"] = last.result if last is not None else "NotAttempted"
    event["publicationutc"] = _moment(published_s)
    if last is not None:
        event["deliveryattemptutc"] = _moment(last.at_s)
    return msgspec.json.encode([event])


async def write(blobs: BlobWriter, container: str, name: str, content: bytes) -> None:
    """Write the blob. Raises what `blobs` raises."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    await blobs.write(container, name, pieces())


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
