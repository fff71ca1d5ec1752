"""Records of Capture's schema, taken out of blocks into columns. Pure.

Source: "Explore captured Avro files in Azure Event Hubs": the record `EventData` has `SequenceNumber`, `Offset`,
`EnqueuedTimeUtc`, `SystemProperties`, `Properties` and `Body`. Three of these are read; others may be missing, and
other writers' fields may be there too.
"""

import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
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
from songline.schemas.progress import GENERATION

NEEDED = ("SequenceNumber", "EnqueuedTimeUtc", "Body")
MAX_POSITION = GENERATION - 2
"""The last position that is not taken for one of the next life of the hub: see `songline.schemas.progress`."""
END_S = 253_402_300_800 - 86_400
"""The last day of the year 9999, which writers set where they know no moment; likewise what is before 1970."""
_SERVICE_FORM = "%m/%d/%Y %I:%M:%S %p"
_SERVICE_MOMENT = re.compile(r"(\d\d?/\d\d?/\d{4}) (0?[1-9]|1[0-2]):([0-5]\d):([0-5]\d) ([AP])M", re.ASCII)


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
        self._needed = _needed(schema)
        self._seconds = _Seconds()

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
            records: Any = fastavro.schemaless_reader(file, self._array, self._needed)
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
        if positions and not (min(positions) >= 0 and max(positions) <= MAX_POSITION):
            odd = min(positions) if min(positions) < 0 else max(positions)
            raise BlockError(f"a SequenceNumber in it is {odd}, expected one from 0 to {MAX_POSITION}")
        if set(map(type, bodies)) - {bytes}:
            bodies = [_body(body) for body in bodies]
        seconds = self._seconds
        try:
            enqueued_s = [seconds[time] for time in times]
        except TypeError:
            kinds = sorted({type(time).__name__ for time in times if not isinstance(time, str | datetime)})
            raise BlockError(f"an EnqueuedTimeUtc in it is a {' or a '.join(kinds)}") from None
        return Records(positions, enqueued_s, bodies)


class _Seconds(dict[Any, int]):
    """The seconds of moments, as they were written. Raises BlockError for what is none, and TypeError for what can't be
    one."""

    def __missing__(self, written: Any) -> int:
        second = self[written] = enqueued_second(written)
        return second


def _needed(schema: Mapping[str, Any]) -> Any:
    """The schema of an array of records that have the fields alone that are needed: fastavro makes nothing of the
    others. None, for all fields, where these name types that others define."""
    fields = [field for field in schema["fields"] if field["name"] in NEEDED]
    record = {name: value for name, value in schema.items() if not name.startswith("__")} | {"fields": fields}
    try:
        return fastavro.parse_schema({"type": "array", "items": record})
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType):
        return None


def enqueued_second(written: object) -> int:
    """The whole Unix second of an `EnqueuedTimeUtc`: in the service's form, `11/28/2026 3:04:05 PM`, in ISO 8601, or as
    a moment of Avro. Raises BlockError, also for a moment at which no hub can have taken an event."""
    second = _written_second(written)
    if not 0 <= second < END_S:
        raise BlockError(f"an EnqueuedTimeUtc in it is {str(written)!r}, expected a moment from 1970 to 9999-12-30")
    return second


def _written_second(written: object) -> int:
    if isinstance(written, datetime):
        return int((written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp() // 1)
    if isinstance(written, str):
        if (found := _SERVICE_MOMENT.fullmatch(written)) is not None:
            day, hour, minute, second, half = found.groups()
            try:
                return _midnight(day) + (int(hour) % 12 + 12 * (half == "P")) * 3_600 + int(minute) * 60 + int(second)
            except ValueError:
                pass
        elif "/" in written:
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


@lru_cache(maxsize=64)
def _midnight(day: str) -> int:
    """The Unix second at which a day begins, written as `11/28/2026`. Raises ValueError."""
    month, number, year = map(int, day.split("/"))
    return int(datetime(year, month, number, tzinfo=UTC).timestamp())


def _body(body: object) -> bytes:
    """The bytes of a body; none for null, which an event with another kind of body has."""
    if isinstance(body, bytes):
        return body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    raise BlockError(f"a Body in it is a {type(body).__name__}")
