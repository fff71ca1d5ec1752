"""A database of DuckDB over events, closed to the rest of the machine: to files, the network and its own settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from songline.processors.history.analysis.event_tables import SCHEMAS

MEMORY = "1GB"
"""What does not fit lies in the database's own folder."""
READING = ("SELECT", "EXPLAIN")


class QueryError(Exception):
    """A statement can't be carried out; says why in one sentence."""


class UnwritableDatabaseError(Exception):
    """The database can't be written, as where the disk is full; says why in one sentence."""


class EventDatabase:
    """Tables of events in the folder `folder`, which is for nothing else. Close it. Raises UnwritableDatabaseError."""

    def __init__(self, folder: Path) -> None:
        try:
            self._open(folder)
        except duckdb.Error as error:
            raise UnwritableDatabaseError(sentence(error)) from None

    def _open(self, folder: Path) -> None:
        self._connection = duckdb.connect(str(folder / "events.duckdb"))
        # A moment that is written with an offset is compared as such; a TIMESTAMP of DuckDB drops the offset.
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute(f"set memory_limit = '{MEMORY}'")
        self._connection.execute("set autoinstall_known_extensions = false")
        self._connection.execute("set autoload_known_extensions = false")
        for name, schema in SCHEMAS.items():
            self._connection.register("empty", schema.empty_table())
            self._connection.execute(f'create table "{name}" as select * from empty')  # noqa: S608 - names of ours
            self._connection.unregister("empty")
        self._connection.execute("set enable_external_access = false")
        self._connection.execute("set lock_configuration = true")

    def add(self, tables: Mapping[str, Any]) -> None:
        """Add rows in the form of Arrow. Raises UnwritableDatabaseError."""
        try:
            for name, rows in tables.items():
                self._connection.register("more", rows)
                self._connection.execute(f'insert into "{name}" select * from more')  # noqa: S608 - names of ours
                self._connection.unregister("more")
        except duckdb.Error as error:
            raise UnwritableDatabaseError(sentence(error)) from None

    def check(self, sql: str) -> None:
        """Raise QueryError unless `sql` is one statement that reads what there is."""
        try:
            statements = duckdb.extract_statements(sql)
            if len(statements) != 1:
                raise QueryError(f"saw {len(statements)} statements, expected one")
            kind = statements[0].type.name
            if kind not in READING:
                raise QueryError(f"saw a statement of the kind {kind}, expected a SELECT: the archive is only read")
            if kind == "SELECT":
                self._rows(f"explain {statements[0].query}")
        except duckdb.Error as error:
            raise QueryError(sentence(error)) from None

    def query(self, sql: str) -> Any:
        """The answer as a reader of Arrow batches. Raises QueryError."""
        try:
            found = self._connection.sql(sql)
            if found is None:
                raise QueryError("the statement has no answer")
            return found.to_arrow_reader(10_000)
        except duckdb.Error as error:
            raise QueryError(sentence(error)) from None

    def moment(self, text: str) -> int | None:
        """The Unix second of a moment as SQL writes it, rounded down; None for what is none."""
        try:
            ((second,),) = self._rows("select floor(epoch(cast($1 as timestamptz)))", text)
        except duckdb.Error:
            return None
        return None if second is None else int(second)

    def parsed(self, sql: str) -> str:
        """The statement as DuckDB's JSON."""
        ((parsed,),) = self._rows("select json_serialize_sql($1)", sql)
        return str(parsed)

    def _rows(self, sql: str, *values: str) -> list[Any]:
        # A result that is not read to its end keeps the connection from all else.
        return self._connection.execute(sql, list(values)).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def sentence(error: Exception) -> str:
    """What DuckDB says, without its drawing of the statement; of a table that is not there, which ones are."""
    lines = [line.strip() for line in str(error).split("\n\n")[0].splitlines() if line.strip()]
    text = " ".join(lines)
    if isinstance(error, duckdb.CatalogException) and "Table with name" in text:
        # DuckDB proposes tables of its own.
        text = f"{text.partition(' Did you mean')[0]} There are {', '.join(SCHEMAS)}."
    return text
