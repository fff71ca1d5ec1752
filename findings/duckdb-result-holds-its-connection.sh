#!/bin/bash
# In DuckDB 2.0 a result that is not read to its end keeps its connection from registering a table, also where `fetchone`
# has given the only row there is. And a text with an offset that is cast to TIMESTAMP loses the offset without a word.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1

"$folder/venv/bin/python" - <<'PYTHON'
import platform
from importlib.metadata import version

import duckdb
import pyarrow

print(f"Python {platform.python_version()}, duckdb {version('duckdb')}, pyarrow {version('pyarrow')}")
connection = duckdb.connect()
rows = pyarrow.table({"number": [1, 2]})

print("the only row:", connection.execute("select 1").fetchone())
try:
    connection.register("numbers", rows)
except duckdb.Error as error:
    print(f"register: {type(error).__name__}: {error}")
else:
    raise SystemExit("a result that is not read to its end holds its connection no more")
connection.execute("select 1").fetchall()
connection.register("numbers", rows)
print("after fetchall, register works:", connection.execute("select count(*) from numbers").fetchall())

written = "2026-01-01T00:00:00+02:00"
((plain, zoned),) = connection.execute(
    "select cast(cast($1 as timestamp) as varchar), epoch(cast($1 as timestamptz))", [written]
).fetchall()
print(f"written:     {written}")
print(f"TIMESTAMP:   {plain}  (the offset is gone)")
print(f"TIMESTAMPTZ: {zoned:.0f} s since 1970, 2025-12-31 22:00:00 in UTC")
assert plain == "2026-01-01 00:00:00", "a cast to TIMESTAMP heeds the offset now"
assert zoned == 1_767_218_400
PYTHON
