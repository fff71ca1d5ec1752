#!/usr/bin/env bash
# The buffered producers of Azure's SDKs for Python and JavaScript send events with the same partition key to different
# partitions: for every key whose 16-bit hash is negative, unless twice the hash is a multiple of the number n of
# partitions. Python takes abs(hash % n), where % is never negative, JavaScript Math.abs(hash % n), where % has the sign of
# the hash. Keys with characters beyond ASCII hash differently besides: Python adds up code points, JavaScript UTF-8 bytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check azure-eventhub==5.15.1
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @azure/event-hubs@6.0.4

cat > keys.py <<'PY'
import json
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver, generate_hash_code

keys = [f"listener-{number}" for number in range(1000)] + ["ü"]
resolver = PartitionResolver([str(number) for number in range(8)])
print(json.dumps([[key, generate_hash_code(key), int(resolver.get_partition_id_by_partition_key(key))] for key in keys]))
PY
venv/bin/python keys.py > python.json

cat > keys.mjs <<'JS'
import { readFileSync } from "node:fs";
const { hashPartitionKey, mapPartitionKeyToId } = await import(
  "./node_modules/@azure/event-hubs/dist/esm/impl/partitionKeyToIdMapper.js"
);
const rows = JSON.parse(readFileSync("python.json", "utf8"));
const ascii = rows.slice(0, 1000);
const sameHash = ascii.filter(([key, hash]) => hashPartitionKey(key) === hash).length;
const apart = ascii.filter(([key, , partition]) => mapPartitionKeyToId(key, 8) !== partition);
const negative = apart.filter(([, hash]) => hash < 0).length;
const [key, hash, partition] = apart[0];
console.log("azure-eventhub 5.15.1 (Python) and @azure/event-hubs 6.0.4 (JavaScript), 1000 ASCII keys, 8 partitions");
console.log(`the same hash: ${sameHash}; another partition: ${apart.length}, of which ${negative} have a negative hash`);
console.log(`${key}: hash ${hash}, Python sends it to ${partition}, JavaScript to ${mapPartitionKeyToId(key, 8)}`);
const [, umlautHash] = rows[1000];
console.log(`ü: hash ${umlautHash} in Python, ${hashPartitionKey("ü")} in JavaScript`);
const seen = sameHash === 1000 && apart.length > 300 && negative === apart.length && hashPartitionKey("ü") !== umlautHash;
console.log(seen ? "seen" : "CHANGED");
process.exit(seen ? 0 : 1);
JS
node keys.mjs
