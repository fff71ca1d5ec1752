// The main features of Service Bus through @azure/service-bus, an implementation that shares nothing with Python's.
// Usage: node servicebus.mjs CONNECTION_STRING QUEUE SESSION_QUEUE TOPIC SUBSCRIPTION
import assert from "node:assert/strict";
import { ServiceBusClient } from "@azure/service-bus";
import { access, transport } from "./access.mjs";

const [connection, queue, sessionQueue, topic, subscription] = process.argv.slice(2);
const client = new ServiceBusClient(...access(connection), { retryOptions: { maxRetries: 0 }, ...transport(connection) });
const wait = { maxWaitTimeInMs: 10000 };

async function one(receiver) {
  const messages = await receiver.receiveMessages(1, wait);
  assert.equal(messages.length, 1);
  return messages[0];
}

async function settle() {
  const sender = client.createSender(queue);
  await sender.sendMessages([
    { body: "complete", messageId: "1", applicationProperties: { n: 1 } },
    { body: { abandon: true } },
    { body: "defer" },
    { body: "dead" },
  ]);
  const receiver = client.createReceiver(queue);
  const first = await one(receiver);
  assert.equal(first.body, "complete");
  assert.equal(first.messageId, "1");
  assert.deepEqual(first.applicationProperties, { n: 1 });
  await receiver.completeMessage(first);
  const abandoned = await one(receiver);
  assert.deepEqual(abandoned.body, { abandon: true });
  await receiver.abandonMessage(abandoned, { why: "later" });
  const again = await one(receiver);
  assert.equal(again.deliveryCount, 1);
  assert.equal(again.applicationProperties.why, "later");
  await receiver.completeMessage(again);
  const deferred = await one(receiver);
  await receiver.deferMessage(deferred);
  const [back] = await receiver.receiveDeferredMessages(deferred.sequenceNumber);
  await receiver.completeMessage(back);
  const dead = await one(receiver);
  await receiver.renewMessageLock(dead);
  await receiver.deadLetterMessage(dead, { deadLetterReason: "r", deadLetterErrorDescription: "d" });
  const graves = client.createReceiver(queue, { subQueueType: "deadLetter" });
  const buried = await one(graves);
  assert.equal(buried.deadLetterReason, "r");
  assert.equal(buried.deadLetterErrorDescription, "d");
  await graves.completeMessage(buried);
  assert.deepEqual(await receiver.peekMessages(5), []);
  await Promise.all([sender.close(), receiver.close(), graves.close()]);
}

async function schedule() {
  const sender = client.createSender(queue);
  const numbers = await sender.scheduleMessages([{ body: "a" }, { body: "b" }], new Date(Date.now() + 3600000));
  const receiver = client.createReceiver(queue);
  assert.equal((await receiver.peekMessages(5)).length, 2);
  await sender.cancelScheduledMessages(numbers);
  await sender.sendMessages({ body: "now" });
  const deleting = client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
  assert.equal((await one(deleting)).body, "now");
  await Promise.all([sender.close(), receiver.close(), deleting.close()]);
}

async function stream() {
  const sender = client.createSender(queue);
  const batch = await sender.createMessageBatch();
  for (let number = 0; number < 50; number++) assert.ok(batch.tryAddMessage({ body: number }));
  await sender.sendMessages(batch);
  const receiver = client.createReceiver(queue);
  const seen = [];
  await new Promise((resolve, reject) => {
    receiver.subscribe({
      processMessage: async (message) => {
        seen.push(message.body);
        if (seen.length === 50) resolve();
      },
      processError: async ({ error }) => reject(error),
    });
  });
  assert.deepEqual(seen.sort((a, b) => a - b), [...Array(50).keys()]);
  await Promise.all([sender.close(), receiver.close()]);
}

async function sessions() {
  const sender = client.createSender(sessionQueue);
  await sender.sendMessages([{ body: "s1", sessionId: "js" }, { body: "s2", sessionId: "js" }]);
  const receiver = await client.acceptNextSession(sessionQueue);
  assert.equal(receiver.sessionId, "js");
  await receiver.setSessionState({ step: 1 });
  assert.deepEqual(await receiver.getSessionState(), { step: 1 });
  await receiver.renewSessionLock();
  for (const body of ["s1", "s2"]) {
    const message = await one(receiver);
    assert.equal(message.body, body);
    await receiver.completeMessage(message);
  }
  await assert.rejects(client.acceptSession(sessionQueue, "js"), { code: "SessionCannotBeLocked" });
  await receiver.close();
  const again = await client.acceptSession(sessionQueue, "js");
  await Promise.all([sender.close(), again.close()]);
}

async function rules() {
  const manager = client.createRuleManager(topic, subscription);
  await manager.deleteRule("$Default");
  await manager.createRule("sql", { sqlExpression: "n > 1" }, { sqlExpression: "SET n = 7" });
  await manager.createRule("correlation", { subject: "s", applicationProperties: { colour: "red" } });
  const found = [];
  for await (const rule of manager.listRules()) found.push(rule);
  assert.deepEqual(found.map((rule) => rule.name), ["sql", "correlation"]);
  assert.equal(found[0].filter.sqlExpression, "n > 1");
  assert.equal(found[1].filter.subject, "s");
  await manager.deleteRule("correlation");
  const sender = client.createSender(topic);
  await sender.sendMessages([{ body: "no", applicationProperties: { n: 1 } }, { body: "yes", applicationProperties: { n: 2 } }]);
  const receiver = client.createReceiver(topic, subscription);
  const message = await one(receiver);
  assert.equal(message.body, "yes");
  assert.deepEqual(message.applicationProperties, { n: 7 });
  await receiver.completeMessage(message);
  await Promise.all([sender.close(), receiver.close()]);
}

async function errors() {
  const sender = client.createSender("no-such-queue");
  await assert.rejects(sender.sendMessages({ body: "x" }), { code: "MessagingEntityNotFound" });
  await sender.close();
}

for (const part of [settle, schedule, stream, sessions, rules, errors]) {
  await part();
  console.log(part.name);
}
await client.close();
// Timers of the client that outlive it would keep the process for another minute.
process.exit(0);
