#!/bin/bash
# azure-eventhub for Python can't decode an event that has an application property of the AMQP types char, decimal32 or
# decimal64: its decoder has no entry for them, and raises a TypeError of the whole event. AMQP allows these types there,
# and other clients of a hub can write them. decimal128 is decoded.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check azure-eventhub==5.15.1

"$folder/venv/bin/python" - <<'PYTHON'
import platform
from importlib.metadata import version

from azure.eventhub._pyamqp._decode import decode_payload

# AMQP 1.0, part 1.6: the constructor of each type, and a value of it.
VALUES = {
    "ushort": b"\x60\x00\x05",
    "decimal128": b"\x94" + bytes(16),
    "char": b"\x73\x00\x00\x00a",
    "decimal32": b"\x74\x22\x50\x00\x01",
    "decimal64": b"\x84" + bytes(8),
}


def event(value: bytes) -> memoryview:
    """A message: application-properties with one entry, `c`, and a data section."""
    entry = b"\xa1\x01c" + value
    properties = b"\x00\x53\x74\xc1" + bytes([len(entry) + 1, 2]) + entry
    return memoryview(properties + b"\x00\x53\x75\xa0\x02hi")


def decoded(value: bytes) -> str:
    try:
        return repr(decode_payload(event(value)).application_properties)
    except TypeError as error:
        return f"TypeError: {error}"


print(f"Python {platform.python_version()}, azure-eventhub {version('azure-eventhub')}")
found = {name: decoded(value) for name, value in VALUES.items()}
for name, said in found.items():
    print(f"{name:10}  {said}")
refused = {name for name, said in found.items() if said.startswith("TypeError")}
assert refused == {"char", "decimal32", "decimal64"}, refused
PYTHON
