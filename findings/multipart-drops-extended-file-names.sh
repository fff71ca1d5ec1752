#!/bin/bash
# python-multipart drops a file's name that a form writes as `filename*` (RFC 8187), without an error: the part then counts
# as a field. The email package of the standard library reads it, and urllib3 1.24 writes it for every name that is not
# ASCII.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check python-multipart==0.0.34 urllib3==1.24.3

"$folder/venv/bin/python" - <<'PYTHON'
import platform
from email.message import Message
from importlib.metadata import version

from python_multipart.multipart import parse_options_header
from urllib3.filepost import encode_multipart_formdata

print(f"Python {platform.python_version()}, python-multipart {version('python-multipart')}, urllib3 {version('urllib3')}")
body, _ = encode_multipart_formdata({"file": ("naïve.mp3", b"x", "audio/mpeg")}, boundary="b")
header = next(line for line in body.decode("latin-1").split("\r\n") if line.startswith("Content-Disposition"))
value = header.partition(": ")[2]
print(f"urllib3 writes:   {header}")
message = Message()
message["Content-Disposition"] = value
print(f"email reads:      {message.get_filename()!r}")
_, options = parse_options_header(value)
print(f"multipart reads:  {options!r}")
assert "filename*=" in value, "urllib3 does not write an extended name any more"
assert message.get_filename() == "naïve.mp3"
assert options == {b"name": b"file"}, "python-multipart reads extended names now"
PYTHON
