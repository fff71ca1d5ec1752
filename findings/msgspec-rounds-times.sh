#!/bin/bash
# msgspec rounds a time that is finer than a microsecond, where Python's library and pydantic cut it: two readers of one
# event that .NET wrote (seven digits of a second) can put it into different days.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check msgspec==0.22.0 pydantic==2.14.3

"$folder/venv/bin/python" - <<'PYTHON'
import platform
from datetime import datetime
from importlib.metadata import version

import msgspec
from pydantic import TypeAdapter

WRITTEN = "2026-11-22T23:59:59.9999995Z"

print(f"Python {platform.python_version()}, msgspec {version('msgspec')}, pydantic {version('pydantic')}")
by_msgspec = msgspec.json.decode(f'"{WRITTEN}"', type=datetime)
by_python = datetime.fromisoformat(WRITTEN)
by_pydantic = TypeAdapter(datetime).validate_python(WRITTEN)
print(f"written:  {WRITTEN}")
print(f"msgspec:  {by_msgspec.isoformat()}  (rounds)")
print(f"Python:   {by_python.isoformat()}  (cuts)")
print(f"pydantic: {by_pydantic.isoformat()}  (cuts)")
assert by_msgspec.day == 23, "msgspec does not round any more"
assert by_python.day == 22
assert by_python.microsecond == 999_999
assert by_pydantic == by_python
PYTHON
