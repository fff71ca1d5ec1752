"""Files as Event Hubs Capture writes them, made by fastavro."""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import fastavro

CAPTURE_SCHEMA: Mapping[str, Any] = {
    "type": "record",
    "name": "EventData",
    "namespace": "Microsoft.ServiceBus.Messaging",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "Offset", "type": "string"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {"name": "SystemProperties", "type": {"type": "map", "values": ["long", "double", "string", "bytes"]}},
        {"name": "Properties", "type": {"type": "map", "values": ["long", "double", "string", "bytes", "null"]}},
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}
"""Source: "Explore captured Avro files in Azure Event Hubs"."""

NOON = 1_763_812_800
"""2025-11-22T12:00:00Z in Unix seconds."""


def service_form(second: int) -> str:
    """A moment as the service writes it: `11/22/2025 12:00:00 PM`."""
    moment = datetime.fromtimestamp(second, UTC)
    return f"{moment.month}/{moment.day}/{moment.year} {moment:%I:%M:%S %p}".replace(" 0", " ", 1)


def iso_form(second: int) -> str:
    """A moment in ISO 8601, with the digits that .NET writes."""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.0000000Z"


def body_at(position: int, second: int = 0) -> bytes:
    """A body that tells its position, and at which second the hub took it."""
    return b'{"at":%d,"s":%d}' % (position, second)


def record(position: int, second: int, body: bytes | None = None, form: Any = service_form) -> dict[str, Any]:
    """A record of Capture's."""
    return {
        "SequenceNumber": position,
        "Offset": str(position * 500),
        "EnqueuedTimeUtc": form(second),
        "SystemProperties": {"x-opt-partition-key": "user-1", "x-opt-kafka-ts": second * 1000, "ratio": 0.5},
        "Properties": {"nothing": None, "bytes": b"\x00\xff", "text": "a", "number": 7},
        "Body": body_at(position, second) if body is None else body,
    }


def capture_file(
    records: Iterable[Mapping[str, Any]],
    *,
    codec: str = "null",
    schema: Mapping[str, Any] = CAPTURE_SCHEMA,
    block_bytes: int = 16_000,
) -> bytes:
    """The bytes of a file; a block ends once it has `block_bytes`."""
    file = io.BytesIO()
    fastavro.writer(file, dict(schema), records, codec=codec, sync_interval=block_bytes)
    return file.getvalue()


def block_offsets(data: bytes) -> list[tuple[int, int]]:
    """Offset and size of each block, as fastavro has them."""
    return [(block.offset, block.size) for block in fastavro.block_reader(io.BytesIO(data))]


def without(fields: Sequence[str], extra: Sequence[Mapping[str, Any]] = ()) -> Mapping[str, Any]:
    """Capture's schema as another writer has it: without `fields`, and with `extra` ones in front."""
    kept = [field for field in CAPTURE_SCHEMA["fields"] if field["name"] not in fields]
    return {**CAPTURE_SCHEMA, "fields": [*extra, *kept]}
