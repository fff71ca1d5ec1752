"""Records of Capture's schema, taken out of blocks into columns. Pure.

Source: "Explore captured Avro files in Azure Event Hubs": the record `EventData` has `SequenceNumber`, `Offset`,
`EnqueuedTimeUtc`, `SystemProperties`, `Properties` and `Body`. Three of these are read; others may be missing, and
other writers' fields may be there too.
"""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import fastavro
from msgspec import Struct

from songline.processors.history.archive.avro_blocks import (
    AvroBlock,
    AvroHeader,
    BlockError,
    unpack,
    write_number,
)
from songline.schemas.errors import PoisonError
from songline.schemas.moments import read_moment

NEEDED = ("SequenceNumber", "EnqueuedTimeUtc", "Body")
_SERVICE_FORM = "%m/%d/%Y %I:%M:%S %p"


class Records(Struct, frozen=True, gc=False):
    """Records in columns, in the order of the file."""

    positions: list[int]
    enqueued_s: list[int]
    bodies: list[bytes]

    def __len__(self) -> int:
        return len(self.positions)

    def cut(self, start: int, stop: int | None = None) -> "Records":
        """The records from index `start` to before `stop`."""
        part = slice(start, stop)
        return Records(self.positions[part], self.enqueued_s[part], self.bodies[part])


class RecordReader:
    """Reads the records of one file. Raises BlockError for a file that has other records."""

    def __init__(self, header: AvroHeader) -> None:
        self._header = header
        schema = header.schema
        names = {field["name"] for field in schema["fields"]} if isinstance(schema, dict) and "fields" in schema else ()
        if missing := [name for name in NEEDED if name not in names]:
            raise BlockError(f"its records have no {', '.join(missing)}: it is not a file of Capture")
        # A whole group of blocks is one array: what follows the records of one must be the count of the next.
        self._array = fastavro.parse_schema({"type": "array", "items": schema})
        self._moments: dict[Any, int] = {}

    def read(self, blocks: Sequence[AvroBlock]) -> Records:
        """The records of blocks that follow each other. Raises BlockError, which does not say for which."""
        parts: list[bytes] = []
        for block in blocks:
            if block.count:
                parts += (write_number(block.count), unpack(self._header, block))
            elif unpack(self._header, block):
                raise BlockError("it says that it has no records")
        parts.append(b"\0")
        data = b"".join(parts)
        file = io.BytesIO(data)
        try:
            records: Any = fastavro.schemaless_reader(file, self._array, None)
        except Exception as error:  # noqa: BLE001  # whatever the bytes of others make fastavro raise
            raise BlockError(f"its records can't be read: {type(error).__name__}: {error}") from None
        if file.tell() != len(data) or len(records) != sum(block.count for block in blocks):
            raise BlockError("its records are not as many or as long as it says")
        return self._columns(records)

    def _columns(self, records: list[dict[str, Any]]) -> Records:
        positions = [record["SequenceNumber"] for record in records]
        bodies = [record["Body"] for record in records]
        times = [record["EnqueuedTimeUtc"] for record in records]
        if set(map(type, positions)) - {int}:
            raise BlockError("a SequenceNumber in it is no whole number")
        if set(map(type, bodies)) - {bytes}:
            bodies = [_body(body) for body in bodies]
        moments = self._moments
        try:
            enqueued_s = [moments[time] for time in times]
        except (KeyError, TypeError):
            moments.update((time, enqueued_second(time)) for time in set(map(_hashable, times)))
            enqueued_s = [moments[time] for time in times]
        return Records(positions, enqueued_s, bodies)


def enqueued_second(written: object) -> int:
    """The whole Unix second of an `EnqueuedTimeUtc`: in the service's form, `11/28/2026 3:04:05 PM`, in ISO 8601, or as
    a moment of Avro. Raises BlockError."""
    if isinstance(written, datetime):
        return int((written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp() // 1)
    if isinstance(written, str):
        if "/" in written:
            try:
                return int(datetime.strptime(written, _SERVICE_FORM).replace(tzinfo=UTC).timestamp())
            except ValueError:
                pass
        else:
            text = written.replace(" ", "T", 1)
            for zone in ("", "Z"):
                try:
                    return int(read_moment(text + zone).timestamp() // 1)
                except PoisonError:
                    continue
    raise BlockError(f"an EnqueuedTimeUtc in it is {written!r}, expected a form such as '11/28/2026 3:04:05 PM'")


def _hashable(time: Any) -> Any:
    if isinstance(time, str | datetime):
        return time
    raise BlockError(f"an EnqueuedTimeUtc in it is a {type(time).__name__}")


def _body(body: object) -> bytes:
    """The bytes of a body; none for null, which an event with another kind of body has."""
    if isinstance(body, bytes):
        return body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    raise BlockError(f"a Body in it is a {type(body).__name__}")
