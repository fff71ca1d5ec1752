"""Answers of the event database, written as a table, CSV or JSON lines."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TextIO

import duckdb
import msgspec
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songline.processors.history.analysis.database import QueryError, sentence

FORMS = ("table", "csv", "json")
TABLE_ROWS = 1_000
"""A table shows so many rows; the other forms have all."""


def write(reader: Any, form: str, file: TextIO) -> None:
    """Write the batches of `reader` to `file`; `json` is an object a line."""
    names = reader.schema.names
    if form == "json":
        keys = _distinct(names)
        lines = (msgspec.json.encode(dict(zip(keys, row, strict=True)), enc_hook=str) for row in _rows(reader))
        file.writelines(str(line, "utf-8") + "\n" for line in lines)
    elif form == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_text(value, "") for value in row] for row in _rows(reader))
    else:
        _write_table(names, _rows(reader), file)


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, where one that comes again has a number behind it: an object has each name once."""
    found: list[str] = []
    for name in names:
        number = 0
        while (key := f"{name}_{number}" if number else name) in found:
            number += 1
        found.append(key)
    return found


def _rows(reader: Any) -> Iterator[tuple[Any, ...]]:
    try:
        for batch in reader:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except (duckdb.Error, pa.ArrowException, OverflowError, ValueError) as error:
        # Rows are made as they are read. Python has no moments before the year 1 and after 9999.
        raise QueryError(sentence(error)) from None


def _write_table(names: list[str], rows: Iterator[tuple[Any, ...]], file: TextIO) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(Text(name), overflow="fold")
    left_out = 0
    for number, row in enumerate(rows):
        if number < TABLE_ROWS:
            # What events say is untrusted: not markup, and without control characters.
            table.add_row(*(Text(_visible(_text(value, "NULL"))) for value in row))
        else:
            left_out += 1
    console = Console(file=file)
    console.print(table)
    if left_out:
        console.print(f"{left_out:,} more rows: --format csv or json has all", highlight=False)


def _text(value: Any, null: str) -> str:
    if value is None:
        return null
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _visible(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
