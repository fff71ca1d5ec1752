"""Events of our own as Event Hubs Capture writes them: Avro, a record an event."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from songline.cloud.extras import load
from songline.processors.imports.formats.own_events import own_listen
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, UnreadableHistoryError

EXTRA = "history"
MAGIC = b"Obj\x01"


def read_capture(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The listens in a file of Capture. Raises UnreadableHistoryError, and MissingExtraError without the reader."""
    fastavro: Any = load("fastavro", EXTRA)
    number = 0
    try:
        for record in fastavro.reader(file):
            number += 1
            place = f"record {number}"
            body = record.get("Body") if isinstance(record, dict) else None
            yield own_listen(place, body, options) if isinstance(body, bytes) else SkippedRow("unreadable", place)
    except UnreadableHistoryError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever the bytes of others make fastavro raise
        raise UnreadableHistoryError(
            f"It is an Avro file that can't be read after {number} records ({type(error).__name__}): it may be cut "
            "off. Download it again."
        ) from None
