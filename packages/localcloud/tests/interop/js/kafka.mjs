// The main features of the Kafka endpoint through kafkajs, an implementation that shares nothing with librdkafka's or
// Python's: it speaks the older versions of most APIs, and a group protocol of its own.
// Usage: node kafka.mjs BROKER CONNECTION_STRING
import assert from "node:assert/strict";
import kafkajs from "kafkajs";

const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs;
const [broker, connection] = process.argv.slice(2);
const sasl = { mechanism: "plain", username: "$ConnectionString", password: connection };
const kafka = new Kafka({
  clientId: "interop",
  brokers: [broker],
  ssl: false,
  sasl,
  logLevel: logLevel.NOTHING,
  requestTimeout: 60_000,
  connectionTimeout: 60_000,
});
const admin = kafka.admin();
const topic = `kafkajs-${Date.now()}`;
const groupId = `${topic}-group`;

async function fails(promise, type) {
  const error = await promise.then(assert.fail, (error) => error);
  assert.equal((error.errors?.[0] ?? error.groups?.[0]?.error ?? error.cause ?? error).type ?? error.type, type);
}

async function topics() {
  const configEntries = [{ name: "retention.ms", value: "3600000" }];
  assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 3, configEntries }] }), true);
  assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), false);
  await fails(admin.createTopics({ topics: [{ topic: "a b" }] }), "INVALID_TOPIC_EXCEPTION");
  await fails(
    admin.createTopics({ topics: [{ topic: `${topic}-odd`, configEntries: [{ name: "odd", value: "1" }] }] }),
    "INVALID_CONFIG",
  );
  await fails(admin.fetchTopicMetadata({ topics: ["a b"] }), "INVALID_TOPIC_EXCEPTION");
  assert.ok((await admin.listTopics()).includes(topic));
  const found = await admin.fetchTopicMetadata({ topics: [topic] });
  assert.deepEqual(
    found.topics[0].partitions.map((each) => [each.partitionId, each.leader, each.isr]).sort(),
    [0, 1, 2].map((number) => [number, 0, [0]]),
  );
}

async function configs() {
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }];
  const described = await admin.describeConfigs({ includeSynonyms: true, resources });
  const entries = new Map(described.resources[0].configEntries.map((each) => [each.configName, each]));
  assert.deepEqual(
    ["retention.ms", "cleanup.policy"].map((name) => [entries.get(name).configValue, entries.get(name).isDefault]),
    [
      ["3600000", false],
      ["delete", true],
    ],
  );
}

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const messages = [
    { key: "a", value: "1", partition: 0, headers: { one: "x" } },
    { key: null, value: "2", partition: 0 },
    { key: "c", value: null, partition: 1 },
  ];
  const sent = await producer.send({ topic, messages });
  assert.deepEqual(sent.map((each) => [each.partition, each.errorCode, each.baseOffset]).sort(), [
    [0, 0, "0"],
    [1, 0, "0"],
  ]);
  await producer.send({
    topic,
    compression: CompressionTypes.GZIP,
    messages: [{ value: "z".repeat(1000), partition: 2 }],
  });
  await producer.disconnect();
  const ends = (await admin.fetchTopicOffsets(topic)).map((each) => [each.partition, each.low, each.high]).sort();
  assert.deepEqual(ends, [
    [0, "0", "2"],
    [1, "0", "1"],
    [2, "0", "1"],
  ]);
}

async function consume() {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 60_000 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const seen = [];
  let enough;
  const done = new Promise((resolve) => {
    enough = resolve;
  });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      const headers = Object.entries(message.headers).map(([name, value]) => [name, value.toString()]);
      seen.push([partition, message.offset, message.key?.toString(), message.value?.toString().slice(0, 2), headers]);
      if (seen.length === 4) enough();
    },
  });
  await done;
  assert.deepEqual(seen.sort(), [
    [0, "0", "a", "1", [["one", "x"]]],
    [0, "1", undefined, "2", []],
    [1, "0", "c", undefined, []],
    [2, "0", undefined, "zz", []],
  ]);
  const described = await admin.describeGroups([groupId]);
  assert.deepEqual([described.groups[0].state, described.groups[0].members.length], ["Stable", 1]);
  assert.ok((await admin.listGroups()).groups.some((each) => each.groupId === groupId));
  await fails(admin.deleteGroups([groupId]), "NON_EMPTY_GROUP");
  await consumer.disconnect();
  const committed = await admin.fetchOffsets({ groupId, topics: [topic] });
  const offsets = committed[0].partitions.map((each) => [each.partition, each.offset]).sort();
  assert.deepEqual(offsets, [
    [0, "2"],
    [1, "1"],
    [2, "1"],
  ]);
}

async function administer() {
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "1" }] });
  const committed = await admin.fetchOffsets({ groupId, topics: [topic] });
  assert.equal(committed[0].partitions.find((each) => each.partition === 0).offset, "1");
  await admin.deleteGroups([groupId]);
  await fails(admin.deleteGroups([groupId]), "GROUP_ID_NOT_FOUND");
  await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
  assert.equal((await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length, 4);
  await admin.deleteTopics({ topics: [topic] });
  assert.ok(!(await admin.listTopics()).includes(topic));
}

await admin.connect();
for (const check of [topics, configs, produce, consume, administer]) {
  await check();
  console.log(check.name);
}
await admin.disconnect();
