// TLS, WebSockets and a managed identity's tokens, with the options that @azure/event-hubs, @azure/service-bus and
// @azure/cosmos have for them on Azure.
// Usage: node like_azure.mjs EVENTHUBS_PORT SERVICEBUS_PORT COSMOS_PORT HUB QUEUE DATABASE CONTAINER
// The environment has IDENTITY_ENDPOINT, IDENTITY_HEADER, AZURE_CLIENT_ID and NODE_EXTRA_CA_CERTS.
import assert from "node:assert/strict";
import { CosmosClient } from "@azure/cosmos";
import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { ServiceBusClient } from "@azure/service-bus";
import WebSocket from "ws";

const [hubsPort, busPort, cosmosPort, hub, queue, database, container] = process.argv.slice(2);
const { IDENTITY_ENDPOINT, IDENTITY_HEADER, AZURE_CLIENT_ID } = process.env;
const host = "localhost";

// What @azure/identity asks for where IDENTITY_ENDPOINT is set.
const credential = {
  async getToken(scopes) {
    const resource = String(scopes).replace(/\/\.default$/, "");
    const query = new URLSearchParams({ "api-version": "2019-08-01", resource, client_id: AZURE_CLIENT_ID });
    const answer = await fetch(`${IDENTITY_ENDPOINT}?${query}`, { headers: { "X-IDENTITY-HEADER": IDENTITY_HEADER } });
    assert.equal(answer.status, 200, await answer.clone().text());
    const { access_token, expires_on } = await answer.json();
    return { token: access_token, expiresOnTimestamp: Number(expires_on) * 1000 };
  },
};

function options(port, webSockets) {
  return {
    customEndpointAddress: `sb://${host}:${port}`,
    retryOptions: { maxRetries: 0 },
    ...(webSockets ? { webSocketOptions: { webSocket: WebSocket } } : {}),
  };
}

async function events(webSockets) {
  const text = `over WebSockets: ${webSockets}`;
  const producer = new EventHubProducerClient(host, hub, credential, options(hubsPort, webSockets));
  const [partition] = await producer.getPartitionIds();
  await producer.sendBatch([{ body: text }], { partitionId: partition });
  await producer.close();
  const consumer = new EventHubConsumerClient("$Default", host, hub, credential, options(hubsPort, webSockets));
  await new Promise((resolve, reject) => {
    const reading = consumer.subscribe(
      partition,
      {
        processEvents: async (received) => {
          if (received.some((event) => event.body === text)) resolve(reading);
        },
        processError: async (error) => reject(error),
      },
      { startPosition: earliestEventPosition },
    );
  }).then((reading) => reading.close());
  await consumer.close();
}

async function messages(webSockets) {
  const bus = new ServiceBusClient(host, credential, options(busPort, webSockets));
  await bus.createSender(queue).sendMessages({ body: "tea" });
  const receiver = bus.createReceiver(queue);
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 60000 });
  assert.equal(message.body, "tea");
  await receiver.completeMessage(message);
  await bus.close();
}

async function items() {
  const client = new CosmosClient({ endpoint: `https://${host}:${cosmosPort}/`, aadCredentials: credential });
  const orders = client.database(database).container(container);
  await orders.items.upsert({ id: "1", customerId: "c", what: "tea" });
  const { resources } = await orders.items.query("SELECT VALUE c.what FROM c").fetchAll();
  assert.deepEqual(resources, ["tea"]);
  client.dispose();
}

for (const webSockets of [false, true]) {
  await events(webSockets);
  console.log(webSockets ? "events-websockets" : "events");
  await messages(webSockets);
  console.log(webSockets ? "messages-websockets" : "messages");
}
await items();
console.log("items");
