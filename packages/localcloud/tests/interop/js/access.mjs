// How a script reaches Azure's services: with the keys of connection strings over plain TCP; or as on Azure, by the tokens
// of a managed identity over TLS, where the environment has IDENTITY_ENDPOINT, IDENTITY_HEADER, AZURE_CLIENT_ID and
// NODE_EXTRA_CA_CERTS. AMQP is spoken over WebSockets then where LOCALCLOUD_WEBSOCKETS is `on`.
import assert from "node:assert/strict";
import WebSocket from "ws";

const { IDENTITY_ENDPOINT, IDENTITY_HEADER, AZURE_CLIENT_ID, LOCALCLOUD_WEBSOCKETS } = process.env;

// What @azure/identity asks for where IDENTITY_ENDPOINT is set.
const managedIdentity = {
  async getToken(scopes) {
    const resource = String(scopes).replace(/\/\.default$/, "");
    const query = new URLSearchParams({ "api-version": "2019-08-01", resource, client_id: AZURE_CLIENT_ID });
    const answer = await fetch(`${IDENTITY_ENDPOINT}?${query}`, { headers: { "X-IDENTITY-HEADER": IDENTITY_HEADER } });
    assert.equal(answer.status, 200, await answer.clone().text());
    const { access_token, expires_on } = await answer.json();
    return { token: access_token, expiresOnTimestamp: Number(expires_on) * 1000 };
  },
};

/** The identity's credential; undefined where keys are used. */
export const credential = IDENTITY_ENDPOINT ? managedIdentity : undefined;

/** The arguments by which a client of Event Hubs or Service Bus is told where to connect, and as whom. */
export function access(connection, ...entity) {
  return credential ? ["localhost", ...entity, credential] : [connection, ...entity];
}

/** Options of a client of Event Hubs or Service Bus that speaks to the host and port of `connection`. */
export function transport(connection) {
  if (!credential) return {};
  const [, customEndpointAddress] = connection.match(/Endpoint=([^;]*)/);
  const webSocketOptions = LOCALCLOUD_WEBSOCKETS === "on" ? { webSocket: WebSocket } : undefined;
  return { customEndpointAddress: customEndpointAddress.replace("127.0.0.1", "localhost"), webSocketOptions };
}
