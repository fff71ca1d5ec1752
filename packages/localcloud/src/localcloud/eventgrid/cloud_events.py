"""Reads what a publisher sends: CloudEvents 1.0 in JSON, one or a batch."""

from typing import Any

import msgspec

from localcloud.unreadable import UNREADABLE

BATCH = "application/cloudevents-batch+json"
SINGLE = "application/cloudevents+json"
MAX_REQUEST_BYTES = 1_048_576
_REQUIRED = ("id", "source", "type", "specversion")


class PublishRefusedError(ValueError):
    """A request that the topic does not take: the status and the code of the answer, and what was wrong."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class PublishedEvent(msgspec.Struct, frozen=True):
    """An event's type, and its JSON as it was sent."""

    type: str
    body: bytes


def read_events(content_type: str, body: bytes) -> list[PublishedEvent]:
    """The events in a request. Raises PublishRefusedError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (BATCH, SINGLE):
        message = f"Content-Type: saw {content_type[:100]!r}, expected {BATCH} or {SINGLE}"
        raise PublishRefusedError(415, "UnsupportedMediaType", message)
    if len(body) > MAX_REQUEST_BYTES:
        message = f"the request has {len(body)} bytes, expected at most {MAX_REQUEST_BYTES}"
        raise PublishRefusedError(413, "PayloadTooLarge", message)
    try:
        bodies = [bytes(one) for one in msgspec.json.decode(body, type=list[msgspec.Raw])] if kind == BATCH else [body]
        events = [msgspec.json.decode(one, type=dict[str, Any]) for one in bodies]
    except UNREADABLE as error:
        raise PublishRefusedError(400, "BadRequest", f"the body: {error}") from None
    for number, event in enumerate(events):
        _check(number, event)
    return [PublishedEvent(event["type"], one) for event, one in zip(events, bodies, strict=True)]


def _check(number: int, event: dict[str, Any]) -> None:
    for name in _REQUIRED:
        value = event.get(name)
        if not isinstance(value, str) or not value:
            message = f"event {number}: {name}: saw {value!r:.100}, expected a text"
            raise PublishRefusedError(400, "BadRequest", message)
    if event["specversion"] != "1.0":
        message = f"event {number}: specversion: saw {event['specversion'][:100]!r}, expected '1.0'"
        raise PublishRefusedError(400, "BadRequest", message)
