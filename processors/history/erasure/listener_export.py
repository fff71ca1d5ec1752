"""All that is held about a listener, as a stream of lines of JSON, or as files in a folder."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from songline.cloud.extras import load
from songline.processors.history.erasure.capture_progress import EXTRA
from songline.processors.history.erasure.job import HeldRecord, HoldingPlace

MANIFEST = "manifest.json"
ROWS = 10_000
"""Rows that a Parquet file takes at a time."""


class ExportManifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an export has: the listener, when it was read, records by place and kind, and the files."""

    user_id: str
    exported_at: datetime
    counts: dict[str, dict[str, int]]
    files: tuple[str, ...]


async def held_records(places: Iterable[HoldingPlace], user_id: str) -> AsyncIterator[HeldRecord]:
    """All that the places hold of the listener, place by place. Raises the SDKs' errors."""
    for place in places:
        async for record in place.held(user_id):
            yield record


async def export_listener(
    places: Iterable[HoldingPlace], user_id: str, folder: Path, now: datetime, say: Callable[[str, int], None]
) -> ExportManifest:
    """Write all that is held into `folder`, which is made: PLACE.jsonl and PLACE.parquet for each place, and at last
    the manifest. `say` gets a place and how many records were written so far.

    Raises OSError, MissingExtraError and the SDKs' errors; without a manifest, the export is not whole.
    """
    pyarrow: Any = load("pyarrow", EXTRA)
    parquet: Any = load("pyarrow.parquet", EXTRA)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 - a folder on this machine, once
    (folder / MANIFEST).unlink(missing_ok=True)
    schema = pyarrow.schema([(name, pyarrow.string()) for name in ("kind", "id", "value")])
    counts: dict[str, dict[str, int]] = {}
    files: list[str] = []
    for place in places:
        of_place: dict[str, int] = {}
        names = f"{place.name}.jsonl", f"{place.name}.parquet"
        with ExitStack() as stack:
            lines: IO[bytes] = stack.enter_context((folder / names[0]).open("wb"))
            table = stack.enter_context(parquet.ParquetWriter(folder / names[1], schema))
            rows: list[dict[str, str]] = []
            async for record in place.held(user_id):
                lines.write(msgspec.json.encode(record) + b"\n")
                value = msgspec.json.encode(record.value).decode()
                rows.append({"kind": record.kind, "id": record.id, "value": value})
                of_place[record.kind] = of_place.get(record.kind, 0) + 1
                if len(rows) == ROWS:
                    table.write_table(pyarrow.Table.from_pylist(rows, schema))
                    rows = []
                    say(place.name, sum(of_place.values()))
            table.write_table(pyarrow.Table.from_pylist(rows, schema))
        say(place.name, sum(of_place.values()))
        counts[place.name] = of_place
        files += names
    manifest = ExportManifest(user_id=user_id, exported_at=now, counts=counts, files=tuple(files))
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest
