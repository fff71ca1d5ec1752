// The main features of Event Hubs through @azure/event-hubs, an implementation that shares nothing with Python's.
// Usage: node eventhubs.mjs CONNECTION_STRING HUB OTHER_HUB GROUP; both hubs are empty and have the consumer group. Where
// access.mjs has tokens, the connection string's key is for the checks of keys.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import {
  EventHubBufferedProducerClient,
  EventHubConsumerClient,
  EventHubProducerClient,
  earliestEventPosition,
  latestEventPosition,
  parseEventHubConnectionString,
} from "@azure/event-hubs";
import { access, credential, transport } from "./access.mjs";

const [connection, hub, otherHub, group] = process.argv.slice(2);
const options = { retryOptions: { maxRetries: 0, timeoutInMs: 10000 }, ...transport(connection) };
const deadlineMs = 20000;

// What a check needs

async function withProducer(use) {
  const producer = new EventHubProducerClient(...access(connection, hub), options);
  try {
    return await use(producer);
  } finally {
    await producer.close();
  }
}

async function withConsumer(use, ...checkpoints) {
  const loadBalancingOptions = { strategy: "greedy", updateIntervalInMs: 500 };
  const consumer = new EventHubConsumerClient(group, ...access(connection, hub), ...checkpoints, {
    ...options,
    loadBalancingOptions,
  });
  try {
    return await use(consumer);
  } finally {
    await consumer.close();
  }
}

function partition(id) {
  return withProducer((producer) => producer.getPartitionProperties(id));
}

/** The next sequence number of each partition: where what a check sends will begin. */
async function ends() {
  return withProducer(async (producer) => {
    const ids = await producer.getPartitionIds();
    const found = await Promise.all(ids.map((id) => producer.getPartitionProperties(id)));
    return Object.fromEntries(
      found.map((one) => [one.partitionId, { sequenceNumber: one.lastEnqueuedSequenceNumber + 1, isInclusive: true }]),
    );
  });
}

/** `count` events as `[partition, event]`: of the partition `from.partitionId`, or of all. */
function receive(count, startPosition, { partitionId, ...more } = {}) {
  return withConsumer(async (consumer) => {
    const seen = [];
    let subscription;
    try {
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${seen.length} of ${count} events came`)), deadlineMs);
        const handlers = {
          processEvents: async (events, context) => {
            seen.push(...events.map((event) => [context.partitionId, event, context]));
            if (seen.length >= count) resolve(clearTimeout(timer));
          },
          processError: async (error) => reject(error),
        };
        const how = { startPosition, maxBatchSize: 300, maxWaitTimeInSeconds: 1, ...more };
        subscription = partitionId ? consumer.subscribe(partitionId, handlers, how) : consumer.subscribe(handlers, how);
      });
    } finally {
      await subscription?.close();
    }
    return seen;
  });
}

async function bodiesFrom(count, startPosition, from) {
  return (await receive(count, startPosition, from)).map(([, event]) => event.body);
}

/** The error of a subscription to partition 0, by a consumer of its own. */
function refused(consumer, more = {}) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no error came")), deadlineMs);
    const handlers = {
      processEvents: async () => {},
      processError: async (error) => resolve((clearTimeout(timer), error)),
    };
    consumer.subscribe("0", handlers, { startPosition: earliestEventPosition, ...more });
  });
}

function signature(resource, keyName, key) {
  const encoded = encodeURIComponent(resource);
  const expiry = Math.floor(Date.now() / 1000) + 600;
  const signed = createHmac("sha256", key).update(`${encoded}\n${expiry}`).digest("base64");
  return `SharedAccessSignature sr=${encoded}&sig=${encodeURIComponent(signed)}&se=${expiry}&skn=${keyName}`;
}

function connectionWithToken(resource) {
  const { endpoint, sharedAccessKeyName, sharedAccessKey } = parseEventHubConnectionString(connection);
  const token = signature(resource, sharedAccessKeyName, sharedAccessKey);
  return `Endpoint=${endpoint};SharedAccessSignature=${token}${credential ? "" : ";UseDevelopmentEmulator=true"}`;
}

/** Checkpoints and ownership in memory, for clients of one process. */
class MemoryCheckpoints {
  owners = new Map();
  checkpoints = new Map();

  async listOwnership() {
    return [...this.owners.values()];
  }

  async claimOwnership(claims) {
    const claimed = [];
    for (const claim of claims) {
      if (this.owners.get(claim.partitionId)?.etag !== claim.etag) continue;
      const owner = { ...claim, etag: String(Math.random()), lastModifiedTimeInMs: Date.now() };
      this.owners.set(claim.partitionId, owner);
      claimed.push(owner);
    }
    return claimed;
  }

  async updateCheckpoint(checkpoint) {
    this.checkpoints.set(checkpoint.partitionId, checkpoint);
  }

  async listCheckpoints() {
    return [...this.checkpoints.values()];
  }
}

// Properties: the first request of a client that has done nothing else

async function partitionIds() {
  await withProducer(async (producer) => assert.deepEqual(await producer.getPartitionIds(), ["0", "1", "2", "3"]));
  await withConsumer(async (consumer) => assert.deepEqual(await consumer.getPartitionIds(), ["0", "1", "2", "3"]));
}

async function hubProperties() {
  const properties = await withConsumer((consumer) => consumer.getEventHubProperties());
  assert.equal(properties.name, hub);
  assert.deepEqual(properties.partitionIds, ["0", "1", "2", "3"]);
  assert.ok(properties.createdOn.getTime() > Date.now() - 3600000);
}

async function emptyPartition() {
  const properties = await withConsumer((consumer) => consumer.getPartitionProperties("3"));
  assert.equal(properties.eventHubName, hub);
  assert.equal(properties.partitionId, "3");
  assert.equal(properties.isEmpty, true);
  assert.equal(properties.lastEnqueuedSequenceNumber, -1);
}

async function partitionProperties() {
  await withProducer((producer) => producer.sendBatch([{ body: 1 }, { body: 2 }], { partitionId: "3" }));
  const properties = await partition("3");
  assert.equal(properties.isEmpty, false);
  assert.equal(properties.beginningSequenceNumber, 0);
  assert.equal(properties.lastEnqueuedSequenceNumber, 1);
  assert.equal(properties.lastEnqueuedOffset, "1");
  assert.ok(Math.abs(properties.lastEnqueuedOnUtc.getTime() - Date.now()) < 60000);
}

// Sending

async function sendArray() {
  const start = await ends();
  await withProducer((producer) => producer.sendBatch([{ body: "a" }, { body: "b" }]));
  assert.deepEqual(await bodiesFrom(2, start), ["a", "b"]);
}

async function sendBatch() {
  const start = await ends();
  await withProducer(async (producer) => {
    const batch = await producer.createBatch({ partitionId: "1" });
    for (let number = 0; number < 300; number++) assert.ok(batch.tryAdd({ body: { number } }));
    assert.equal(batch.count, 300);
    await producer.sendBatch(batch);
  });
  const seen = await bodiesFrom(300, start["1"], { partitionId: "1" });
  assert.deepEqual(seen, [...Array(300).keys()].map((number) => ({ number })));
}

async function fullBatch() {
  const before = (await partition("1")).lastEnqueuedSequenceNumber;
  await withProducer(async (producer) => {
    const batch = await producer.createBatch({ partitionId: "1" });
    assert.equal(batch.maxSizeInBytes, 1048576);
    assert.equal(batch.tryAdd({ body: Buffer.alloc(1 << 20) }), false);
    while (batch.tryAdd({ body: Buffer.alloc(100000) }));
    assert.equal(batch.count, 10);
    await producer.sendBatch(batch);
  });
  assert.equal((await partition("1")).lastEnqueuedSequenceNumber, before + 10);
}

async function partitionKey() {
  const start = await ends();
  await withProducer(async (producer) => {
    for (let number = 0; number < 4; number++) await producer.sendBatch([{ body: number }], { partitionKey: "a key" });
  });
  const seen = await receive(4, start);
  assert.equal(new Set(seen.map(([id]) => id)).size, 1);
  assert.deepEqual(seen.map(([, event]) => [event.body, event.partitionKey]), [0, 1, 2, 3].map((body) => [body, "a key"]));
}

async function partitionsInTurn() {
  const start = await ends();
  await withProducer(async (producer) => {
    for (let number = 0; number < 4; number++) await producer.sendBatch([{ body: number }]);
  });
  assert.deepEqual((await receive(4, start)).map(([id]) => id).sort(), ["0", "1", "2", "3"]);
}

async function properties() {
  const start = await ends();
  const scalars = { text: "ü", whole: 7, broken: 1.5, yes: true, moment: new Date(1700000000000) };
  const given = { ...scalars, list: [1, "a"], map: { a: 1 } };
  const event = { body: "x", messageId: "m", correlationId: "c", contentType: "text/plain", properties: given };
  await withProducer((producer) => producer.sendBatch([event], { partitionId: "0" }));
  const [[, seen]] = await receive(1, start["0"], { partitionId: "0" });
  assert.deepEqual([seen.messageId, seen.correlationId, seen.contentType], ["m", "c", "text/plain"]);
  assert.deepEqual({ ...seen.properties, moment: new Date(seen.properties.moment) }, given);
}

async function systemFields() {
  const start = await ends();
  await withProducer((producer) => producer.sendBatch([{ body: "x" }], { partitionId: "0" }));
  const [[, event]] = await receive(1, start["0"], { partitionId: "0" });
  assert.equal(event.sequenceNumber, start["0"].sequenceNumber);
  assert.equal(event.offset, String(event.sequenceNumber));
  assert.ok(Math.abs(event.enqueuedTimeUtc.getTime() - Date.now()) < 60000);
}

async function bodies() {
  const start = await ends();
  const given = ["text", Buffer.from([0, 255]), { deep: [1, null] }, [1, 2], 3, null];
  await withProducer((producer) => producer.sendBatch(given.map((body) => ({ body })), { partitionId: "0" }));
  assert.deepEqual(await bodiesFrom(given.length, start["0"], { partitionId: "0" }), given);
}

async function annotatedMessages() {
  const start = await ends();
  await withProducer((producer) =>
    producer.sendBatch(
      [
        { bodyType: "value", body: "one value", properties: { subject: "s" }, messageAnnotations: { "x-ours": 1 } },
        { bodyType: "sequence", body: [[1, "two"]], footer: { sum: 7 } },
      ],
      { partitionId: "0" },
    ),
  );
  const seen = (await receive(2, start["0"], { partitionId: "0" })).map(([, event]) => event);
  assert.deepEqual(seen.map(({ body }) => body), ["one value", [[1, "two"]]]);
  const raw = seen.map((event) => event.getRawAmqpMessage());
  assert.deepEqual(raw.map(({ bodyType }) => bodyType), ["value", "sequence"]);
  assert.equal(raw[0].properties.subject, "s");
  assert.equal(raw[0].messageAnnotations["x-ours"], 1);
  assert.equal(raw[1].footer.sum, 7);
}

async function bufferedProducer() {
  const start = await ends();
  const sent = [];
  const producer = new EventHubBufferedProducerClient(...access(connection, hub), {
    ...options,
    maxWaitTimeInMs: 200,
    onSendEventsSuccessHandler: ({ events, partitionId }) => sent.push(...events.map(({ body }) => [partitionId, body])),
    onSendEventsErrorHandler: ({ error }) => assert.fail(error),
  });
  for (let number = 0; number < 200; number++) {
    await producer.enqueueEvent({ body: number }, { partitionKey: `key ${number % 20}` });
  }
  await producer.flush();
  assert.deepEqual(sent.map(([, body]) => body).sort((a, b) => a - b), [...Array(200).keys()]);
  await producer.close();
  const seen = await receive(200, start);
  const places = new Map(seen.map(([id, { body }]) => [body, id]));
  for (const [id, body] of sent) assert.equal(places.get(body), id);
  for (let key = 0; key < 20; key++) {
    const ofKey = seen.filter(([, { body }]) => body % 20 === key);
    assert.equal(new Set(ofKey.map(([id]) => id)).size, 1);
    assert.deepEqual(ofKey.map(([, { body }]) => body), [...Array(10).keys()].map((turn) => turn * 20 + key));
  }
}

// Receiving

async function earliest() {
  const { lastEnqueuedSequenceNumber } = await partition("3");
  const seen = await receive(lastEnqueuedSequenceNumber + 1, earliestEventPosition, { partitionId: "3" });
  assert.deepEqual(seen.map(([, event]) => event.sequenceNumber), [...Array(lastEnqueuedSequenceNumber + 1).keys()]);
}

async function latest() {
  const coming = receive(1, latestEventPosition, { partitionId: "3" });
  let over = false;
  coming.finally(() => (over = true)).catch(() => {});
  // What is sent before the subscription stands is not for it: send until one has come.
  for (let number = 0; !over; number++) {
    await withProducer((producer) => producer.sendBatch([{ body: `new ${number}` }], { partitionId: "3" }));
  }
  assert.match((await coming)[0][1].body, /^new /);
}

async function positions() {
  const start = (await ends())["2"].sequenceNumber;
  await withProducer((producer) => producer.sendBatch(["a", "b", "c"].map((body) => ({ body })), { partitionId: "2" }));
  const first = async (position) => (await bodiesFrom(1, position, { partitionId: "2" }))[0];
  assert.equal(await first({ sequenceNumber: start + 1 }), "c");
  assert.equal(await first({ sequenceNumber: start + 1, isInclusive: true }), "b");
  assert.equal(await first({ offset: String(start) }), "b");
  assert.equal(await first({ offset: String(start), isInclusive: true }), "a");
  const [[, oldest]] = await receive(1, { sequenceNumber: start, isInclusive: true }, { partitionId: "2" });
  assert.equal(await first({ enqueuedOn: oldest.enqueuedTimeUtc.getTime() - 1 }), "a");
}

async function lastEnqueued() {
  const start = await ends();
  await withProducer((producer) => producer.sendBatch([{ body: "x" }], { partitionId: "0" }));
  const [[, event, context]] = await receive(1, start["0"], { partitionId: "0", trackLastEnqueuedEventProperties: true });
  assert.equal(context.lastEnqueuedEventProperties.sequenceNumber, event.sequenceNumber);
  assert.equal(context.lastEnqueuedEventProperties.offset, event.offset);
}

async function groups() {
  const position = { sequenceNumber: 0, isInclusive: true };
  const consumer = new EventHubConsumerClient("$Default", ...access(connection, hub), options);
  const seen = new Promise((resolve, reject) => {
    consumer.subscribe(
      "3",
      { processEvents: async (events) => resolve(events), processError: async (error) => reject(error) },
      { startPosition: position, maxBatchSize: 1 },
    );
  });
  assert.equal((await seen)[0].sequenceNumber, 0);
  await consumer.close();
}

async function ownerLevel() {
  const [weak, strong] = [0, 1].map(() => new EventHubConsumerClient(group, ...access(connection, hub), options));
  const stolen = refused(weak, { ownerLevel: 1 });
  await new Promise((resolve, reject) => {
    const handlers = { processEvents: async () => resolve(), processError: async (error) => reject(error) };
    strong.subscribe("0", handlers, { startPosition: earliestEventPosition, ownerLevel: 2 });
  });
  assert.equal((await stolen).code, "ReceiverDisconnectedError");
  const late = new EventHubConsumerClient(group, ...access(connection, hub), options);
  assert.equal((await refused(late, { ownerLevel: 1 })).code, "ReceiverDisconnectedError");
  await Promise.all([weak, strong, late].map((consumer) => consumer.close()));
}

async function processors() {
  const checkpoints = new MemoryCheckpoints();
  const start = await ends();
  const seen = [];
  const consume = (consumer, enough) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${seen.length} events came`)), deadlineMs);
      const subscription = consumer.subscribe(
        {
          processEvents: async (events, context) => {
            for (const event of events) {
              seen.push(event.body);
              await context.updateCheckpoint(event);
            }
            if (enough()) resolve((clearTimeout(timer), subscription.close()));
          },
          processError: async (error) => reject(error),
        },
        { startPosition: start, maxWaitTimeInSeconds: 1 },
      );
    });
  const send = (body) =>
    withProducer(async (producer) => {
      for (const partitionId of "0123") await producer.sendBatch([{ body }], { partitionId });
    });
  await send("first");
  await withConsumer((consumer) => consume(consumer, () => seen.length >= 4), checkpoints);
  await send("second");
  await withConsumer((consumer) => consume(consumer, () => seen.length >= 8), checkpoints);
  assert.deepEqual(seen, [...Array(4).fill("first"), ...Array(4).fill("second")]);
}

// Errors and rights

async function missingHub() {
  const producer = new EventHubProducerClient(...access(connection, "no-such-hub"), options);
  await assert.rejects(producer.sendBatch([{ body: "x" }]), { code: "MessagingEntityNotFoundError" });
  await assert.rejects(producer.getEventHubProperties(), { code: "MessagingEntityNotFoundError" });
  await producer.close();
}

async function missingPlaces() {
  const consumer = new EventHubConsumerClient("no-such-group", ...access(connection, hub), options);
  assert.equal((await refused(consumer)).code, "MessagingEntityNotFoundError");
  await consumer.close();
  await withProducer(async (producer) => {
    await assert.rejects(producer.getPartitionProperties("4"), { code: "MessagingEntityNotFoundError" });
    await assert.rejects(producer.sendBatch([{ body: "x" }], { partitionId: "4" }), /could not be found/);
  });
}

async function wrongKey() {
  const wrong = connection.replace(/SharedAccessKey=[^;]*/, "SharedAccessKey=d3Jvbmc=");
  const producer = new EventHubProducerClient(wrong, hub, options);
  await assert.rejects(producer.sendBatch([{ body: "x" }]), { code: "UnauthorizedError" });
  await assert.rejects(producer.getPartitionIds(), { code: "UnauthorizedError" });
  await producer.close();
}

async function tokens() {
  const own = connectionWithToken(`sb://127.0.0.1/${hub}`);
  const producer = new EventHubProducerClient(own, hub, options);
  assert.equal((await producer.getPartitionIds()).length, 4);
  await producer.sendBatch([{ body: "by token" }], { partitionId: "0" });
  await producer.close();
}

async function tokensForAnotherHub() {
  const foreign = new EventHubProducerClient(connectionWithToken(`sb://127.0.0.1/${otherHub}`), hub, options);
  await assert.rejects(foreign.getPartitionIds(), { code: "UnauthorizedError" });
  await assert.rejects(foreign.sendBatch([{ body: "x" }]), { code: "UnauthorizedError" });
  await foreign.close();
}

async function tooLarge() {
  await withProducer(async (producer) => {
    await assert.rejects(producer.sendBatch([{ body: Buffer.alloc(1100000) }]), { code: "MessageTooLargeError" });
  });
}

async function manyClients() {
  const clients = [...Array(10)].map(() => new EventHubProducerClient(...access(connection, otherHub), options));
  await Promise.all(clients.map((client) => client.sendBatch([{ body: "x" }], { partitionId: "0" })));
  assert.equal((await clients[0].getPartitionProperties("0")).lastEnqueuedSequenceNumber, 9);
  await Promise.all(clients.map((client) => client.close()));
}

const checks = [
  [partitionIds, hubProperties, emptyPartition, partitionProperties],
  [sendArray, sendBatch, fullBatch, partitionKey, partitionsInTurn, properties, systemFields, bodies],
  [annotatedMessages, bufferedProducer],
  [earliest, latest, positions, lastEnqueued, groups, ownerLevel, processors],
  [missingHub, missingPlaces, wrongKey, tokens, tokensForAnotherHub, tooLarge, manyClients],
];
const failures = [];
for (const check of checks.flat()) {
  try {
    await check();
    console.log(check.name);
  } catch (error) {
    failures.push(error);
    console.error(`${check.name}:`, error);
  }
}
// Timers of the client that outlive it would keep the process for another minute.
process.exit(failures.length ? 1 : 0);
