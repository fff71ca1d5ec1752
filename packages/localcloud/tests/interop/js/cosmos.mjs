// The main features of Cosmos DB through @azure/cosmos, an implementation that shares nothing with Python's.
// Usage: node cosmos.mjs ENDPOINT KEY DATABASE THROTTLED; the second database is held to its throughput. Where access.mjs
// has tokens, items are read and written by them; databases and containers are made by the key, since tokens are for data.
import assert from "node:assert/strict";
import {
  BulkOperationType,
  ChangeFeedStartFrom,
  CosmosClient,
  PatchOperationType,
  StatusCodes,
} from "@azure/cosmos";
import { credential } from "./access.mjs";

const [endpoint, key, databaseId, throttledId] = process.argv.slice(2);
const management = new CosmosClient({ endpoint, key });
const data = dataClient();
let database;

function dataClient(options = {}) {
  return new CosmosClient({ endpoint, ...(credential ? { aadCredentials: credential } : { key }), ...options });
}

async function container(id, options = {}) {
  await database.containers.create({ id, partitionKey: { paths: ["/pk"] }, ...options });
  return data.database(databaseId).container(id);
}

function parts(made) {
  return { items: made.items, item: (id, pk) => made.item(id, pk) };
}

async function fails(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, `${error.code} ${error.message}`);
    return true;
  });
}

async function resources() {
  ({ database } = await management.databases.createIfNotExists({ id: databaseId }));
  await container("resources", { defaultTtl: 60 });
  const made = database.container("resources");
  const { resource } = await made.read();
  assert.deepEqual(resource.partitionKey.paths, ["/pk"]);
  assert.equal(resource.defaultTtl, 60);
  await made.replace({ ...resource, defaultTtl: -1 });
  assert.equal((await made.read()).resource.defaultTtl, -1);
  const { resources: found } = await database.containers
    .query({ query: "SELECT * FROM c WHERE c.id = @id", parameters: [{ name: "@id", value: "resources" }] })
    .fetchAll();
  assert.equal(found.length, 1);
  await fails(database.containers.create({ id: "resources", partitionKey: { paths: ["/pk"] } }), 409);
  await fails(database.containers.create({ id: "resources", partitionKey: { paths: ["/pk"] }, defaultTtl: 0 }), 400);
  await made.delete();
  await fails(made.read(), 404);
}

async function items() {
  const { items, item } = parts(await container("items"));
  const created = await items.create({ id: "a", pk: "p", n: 1, text: "ä €" });
  assert.equal(created.statusCode, 201);
  assert.ok(created.requestCharge > 5);
  assert.equal((await item("a", "p").read()).resource.text, "ä €");
  assert.equal((await item("b", "p").read()).statusCode, 404);
  assert.match((await item("a", "p").read()).headers["content-location"], /^https?:.*\/colls\/items\/docs\/a\/?$/);
  const accessCondition = { type: "IfMatch", condition: created.etag };
  const replaced = await item("a", "p").replace({ ...created.resource, n: 2 }, { accessCondition });
  assert.notEqual(replaced.etag, created.etag);
  await fails(item("a", "p").replace({ id: "a", pk: "p" }, { accessCondition }), 412);
  await fails(item("a", "p").delete({ accessCondition }), 412);
  const unchanged = { accessCondition: { type: "IfNoneMatch", condition: replaced.etag } };
  assert.equal((await item("a", "p").read(unchanged)).statusCode, 304);
  await fails(items.create({ id: "a", pk: "p" }), 409);
  assert.equal((await items.upsert({ id: "a", pk: "p", n: 3 })).statusCode, 200);
  assert.equal((await items.upsert({ id: "b", pk: "p" })).statusCode, 201);
  await item("a", "p").delete();
  await fails(item("a", "p").delete(), 404);
}

async function queries() {
  const { items } = await container("queries");
  for (let n = 0; n < 30; n++) await items.create({ id: `${n}`, pk: `p${n % 5}`, n, kind: n % 2 ? "odd" : "even" });
  const all = async (query, options) => (await items.query(query, options).fetchAll()).resources;
  const parameters = [{ name: "@least", value: 10 }];
  const some = { query: "SELECT VALUE c.n FROM c WHERE c.n >= @least", parameters };
  assert.deepEqual((await all(some, { partitionKey: "p0" })).sort(), [10, 15, 20, 25]);
  const ordered = await all("SELECT VALUE c.n FROM c ORDER BY c.n DESC", { maxItemCount: 4 });
  assert.deepEqual(ordered, Array.from({ length: 30 }, (_, n) => 29 - n));
  assert.deepEqual(await all("SELECT TOP 3 VALUE c.n FROM c ORDER BY c.n"), [0, 1, 2]);
  assert.deepEqual(await all("SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 5 LIMIT 3"), [5, 6, 7]);
  assert.deepEqual(await all("SELECT VALUE SUM(c.n) FROM c"), [435]);
  assert.deepEqual((await all("SELECT DISTINCT VALUE c.kind FROM c")).sort(), ["even", "odd"]);
  const groups = await all("SELECT c.kind, COUNT(1) AS many, MAX(c.n) AS most FROM c GROUP BY c.kind");
  groups.sort((left, right) => left.most - right.most);
  assert.deepEqual(groups, [
    { kind: "even", many: 15, most: 28 },
    { kind: "odd", many: 15, most: 29 },
  ]);
  // Pages, each by an iterator of its own that starts where the one before had ended.
  const seen = [];
  let continuationToken;
  do {
    const page = await items
      .query("SELECT VALUE c.n FROM c", { partitionKey: "p1", maxItemCount: 2, continuationToken })
      .fetchNext();
    seen.push(...page.resources);
    continuationToken = page.continuationToken;
  } while (continuationToken);
  assert.deepEqual(seen.sort((a, b) => a - b), [1, 6, 11, 16, 21, 26]);
  assert.equal((await items.readAll().fetchAll()).resources.length, 30);
  await pagesAcrossRanges();
  await sortedPaths();
}

// Every page is read by an iterator of its own, and each result comes once; or the client, or the service, says that it
// can't go on. (An unordered DISTINCT has no token, which is the client's decision.)
async function pagesAcrossRanges() {
  const compositeIndexes = [[{ path: "/kind" }, { path: "/n" }].map((key) => ({ ...key, order: "ascending" }))];
  const indexingPolicy = { includedPaths: [{ path: "/*" }], compositeIndexes };
  const { items } = await container("ranges", { throughput: 24_000, indexingPolicy });
  const created = Array.from({ length: 120 }, (_, n) => items.create({ id: `${n}`, pk: `p${n % 40}`, n, kind: n % 3 }));
  await Promise.all(created);
  const read = async (query, maxItemCount) => {
    const seen = [];
    let continuationToken;
    do {
      const options = { maxItemCount, continuationToken, enableQueryControl: true };
      const page = await items.query(query, options).fetchNext();
      seen.push(...page.resources);
      continuationToken = page.continuationToken;
    } while (continuationToken);
    return seen;
  };
  const numbers = Array.from({ length: 120 }, (_, n) => n);
  for (const size of [13, 60]) {
    assert.deepEqual(await read("SELECT VALUE c.n FROM c ORDER BY c.n", size), numbers);
    assert.deepEqual(await read("SELECT VALUE c.n FROM c ORDER BY c.n DESC", size), numbers.toReversed());
    for (const query of [
      "SELECT VALUE c.n FROM c",
      "SELECT VALUE c.n FROM c ORDER BY c.kind",
      "SELECT VALUE c.n FROM c ORDER BY c.kind DESC",
      "SELECT TOP 1000 VALUE c.n FROM c",
    ]) {
      assert.deepEqual((await read(query, size)).sort((a, b) => a - b), numbers, `${query} by ${size}`);
    }
  }
  await fails(read("SELECT VALUE c.n FROM c ORDER BY c.kind, c.n", 7), 400);
  await fails(read("SELECT DISTINCT VALUE c.pk FROM c ORDER BY c.pk", 7), 400);
  await fails(read("SELECT TOP 50 VALUE c.n FROM c ORDER BY c.n", 7), 400);
}

async function sortedPaths() {
  const indexingPolicy = { includedPaths: [{ path: "/n/?" }], excludedPaths: [{ path: "/*" }] };
  const { items } = await container("sorted", { indexingPolicy });
  for (let n = 0; n < 3; n++) await items.create({ id: `${n}`, pk: `p${n}`, n, other: n });
  const all = async (query, options) => (await items.query(query, options).fetchAll()).resources;
  assert.deepEqual(await all("SELECT VALUE c.n FROM c ORDER BY c.n DESC"), [2, 1, 0]);
  await fails(all("SELECT * FROM c ORDER BY c.other"), 400);
  await fails(all("SELECT * FROM c ORDER BY c.other", { partitionKey: "p1" }), 400);
  await fails(all("SELECT * FROM c ORDER BY c.n, c.id"), 400);
  await fails(all("SELECT * FROM c ORDER BY LOWER(c.n)"), 400);
}

async function batches() {
  const { items, item } = parts(await container("batches"));
  const done = await items.batch(
    [
      { operationType: BulkOperationType.Create, resourceBody: { id: "a", pk: "p", n: 1 } },
      { operationType: BulkOperationType.Upsert, resourceBody: { id: "b", pk: "p" } },
      {
        operationType: BulkOperationType.Patch,
        id: "a",
        resourceBody: { operations: [{ op: PatchOperationType.incr, path: "/n", value: 2 }] },
      },
      { operationType: BulkOperationType.Read, id: "a" },
    ],
    "p",
  );
  assert.deepEqual(done.result.map(({ statusCode }) => statusCode), [201, 201, 200, 200]);
  assert.equal(done.result[3].resourceBody.n, 3);
  const undone = await items.batch(
    [
      { operationType: BulkOperationType.Delete, id: "a" },
      { operationType: BulkOperationType.Create, resourceBody: { id: "b", pk: "p" } },
    ],
    "p",
  );
  assert.deepEqual(undone.result.map(({ statusCode }) => statusCode), [424, 409]);
  assert.equal((await item("a", "p").read()).statusCode, 200);
}

async function patches() {
  const { items, item } = parts(await container("patches"));
  await items.create({ id: "a", pk: "p", n: 1, tags: ["x"], old: true });
  const { resource } = await item("a", "p").patch([
    { op: PatchOperationType.add, path: "/tags/-", value: "y" },
    { op: PatchOperationType.incr, path: "/n", value: 0.5 },
    { op: PatchOperationType.remove, path: "/old" },
    { op: PatchOperationType.set, path: "/deep", value: { er: 1 } },
    { op: PatchOperationType.replace, path: "/deep/er", value: 2 },
  ]);
  assert.deepEqual([resource.tags, resource.n, resource.old, resource.deep], [["x", "y"], 1.5, undefined, { er: 2 }]);
  const operations = [{ op: PatchOperationType.set, path: "/n", value: 0 }];
  await fails(item("a", "p").patch({ condition: "FROM c WHERE c.n > 100", operations }), 412);
}

async function bulk() {
  const { items } = await container("bulk");
  const operations = Array.from({ length: 250 }, (_, n) => ({
    operationType: BulkOperationType.Create,
    partitionKey: `p${n % 7}`,
    resourceBody: { id: `${n}`, pk: `p${n % 7}` },
  }));
  const results = await items.executeBulkOperations(operations);
  assert.ok(results.every(({ response }) => response?.statusCode === StatusCodes.Created));
  const again = await items.executeBulkOperations([operations[0], { ...operations[1], operationType: "Upsert" }]);
  assert.deepEqual(
    again.map(({ response, error }) => response?.statusCode ?? error.code),
    [409, 200],
  );
}

async function changes() {
  const { items } = await container("changes");
  await items.create({ id: "a", pk: "p" });
  await items.create({ id: "b", pk: "q" });
  const read = async (changeFeedStartFrom) => {
    const iterator = items.getChangeFeedIterator({ changeFeedStartFrom, maxItemCount: 10 });
    const ids = [];
    let token;
    for (let empty = 0; empty < 4 && iterator.hasMoreResults; ) {
      const page = await iterator.readNext();
      token = page.continuationToken;
      if (page.statusCode === StatusCodes.NotModified) empty += 1;
      else ids.push(...page.result.map(({ id }) => id));
    }
    return [ids.sort(), token];
  };
  const [first, token] = await read(ChangeFeedStartFrom.Beginning());
  assert.deepEqual(first, ["a", "b"]);
  await items.upsert({ id: "b", pk: "q", again: true });
  assert.deepEqual((await read(ChangeFeedStartFrom.Continuation(token)))[0], ["b"]);
  assert.deepEqual((await read(ChangeFeedStartFrom.Beginning("p")))[0], ["a"]);
  assert.deepEqual((await read(ChangeFeedStartFrom.Now()))[0], []);
}

// Only what throughput doesn't suffice for is refused, and no operation waits for the debt of others: the client sleeps
// so long for each of them, one after the other.
async function throttledBulk(throttled, once) {
  await throttled.containers.create({ id: "bulk", partitionKey: "/pk", throughput: 400 });
  const operations = Array.from({ length: 100 }, (_, n) => ({
    operationType: BulkOperationType.Create,
    partitionKey: `p${n % 7}`,
    resourceBody: { id: `${n}`, pk: `p${n % 7}` },
  }));
  const results = await once.database(throttled.id).container("bulk").items.executeBulkOperations(operations);
  const refused = results.filter(({ error }) => error);
  assert.ok(refused.length > 0 && refused.length < results.length, `${refused.length} of ${results.length}`);
  for (const { error } of refused) {
    assert.deepEqual([error.code, error.substatus], [429, 3200]);
    assert.ok(error.retryAfterInMs > 0 && error.retryAfterInMs < 50, `${error.retryAfterInMs} ms`);
  }
  const again = await data.database(throttled.id).container("bulk").items.executeBulkOperations(
    operations.map((operation) => ({ ...operation, operationType: "Upsert", partitionKey: operation.resourceBody.pk })),
  );
  assert.ok(again.every(({ response }) => response));
}

async function throughput() {
  const { database: throttled } = await management.databases.create({ id: throttledId });
  const { container: made } = await throttled.containers.create({ id: "c", partitionKey: "/pk", throughput: 400 });
  const { resource } = await made.readOffer();
  assert.equal(resource.content.offerThroughput, 400);
  const connectionPolicy = { retryOptions: { maxRetryAttemptCount: 0 } };
  const once = dataClient({ connectionPolicy });
  const { items } = once.database(throttledId).container("c");
  const text = "x".repeat(1_500_000); // costs more request units than there are in a second
  await items.create({ id: "a", pk: "p", text });
  const error = await items.create({ id: "b", pk: "p" }).then(assert.fail, (error) => error);
  assert.deepEqual([error.code, error.substatus], [429, 3200]);
  assert.ok(error.retryAfterInMs > 0);
  await data.database(throttledId).container("c").items.create({ id: "c", pk: "p" }); // this client waits
  await throttledBulk(throttled, once);
  once.dispose();
  await throttled.delete();
}

for (const part of [resources, items, queries, batches, patches, bulk, changes, throughput]) {
  await part();
  console.log(part.name);
}
await database.delete();
management.dispose();
data.dispose();
