// The AsyncAPI document as a page: channels, who sends and receives, and what each message holds.
import { ApiError, getJson } from "./api.js";
import { byId, emptyState, h, placeholder, viewHead } from "./dom.js";
import { resolve, valuesOf } from "./json-schema.js";
import { table } from "./table.js";

/** @import { Schema } from "./json-schema.js" */

/** @typedef {{ $ref: string }} Reference */
/** @typedef {{ name: string, summary: string, payload: Schema, examples: { payload: unknown }[] }} Message */
/** @typedef {{ description: string, servers: Reference[], messages: Record<string, Message | Reference> }} Channel */
/** @typedef {{ action: "send" | "receive", summary: string, channel: Reference }} Operation */

/**
 * @typedef {object} AsyncApi what the page reads of the document
 * @property {{ description: string }} info
 * @property {Record<string, Channel>} channels
 * @property {Record<string, Operation>} operations
 */

/** @type {Record<string, string>} what the channels of a server are */
const SERVERS = { eventhubs: "Event Hub", servicebus: "Service Bus queue" };
const COLUMNS = [{ text: "Field" }, { text: "Value" }, { text: "Meaning", class: "wide" }];

/**
 * A channel with its messages.
 * @param {AsyncApi} document
 * @param {string} name
 * @param {Channel} channel
 */
function channelSection(document, name, { servers, description, messages }) {
  const server = servers[0]?.$ref.split("/").pop() ?? "";
  const operations = Object.values(document.operations).filter((one) => one.channel.$ref.endsWith(`/${name}`));
  const uses = operations.map(({ action, summary }) =>
    h("div", {}, h("dt", {}, action === "send" ? "Sent by" : "Received by"), h("dd", {}, summary)),
  );
  const articles = Object.values(messages).map((message) => messageArticle(document, message));
  return h(
    "section",
    { id: name },
    h("h2", {}, SERVERS[server]),
    h("h3", { class: "channel" }, name),
    h("p", { class: "quiet" }, sentence(description)),
    h("dl", { class: "facts uses" }, uses),
    h("div", { class: "ways" }, articles),
  );
}

/**
 * A message with its fields and an example.
 * @param {AsyncApi} document
 * @param {Message | Reference} message
 */
function messageArticle(document, message) {
  const { name, summary, payload, examples } = /** @type {Message} */ (resolve(document, message));
  const fields = table(`Fields of ${name}`, COLUMNS, h("tbody", {}, fieldRows(document, payload)));
  const example = JSON.stringify(examples[0]?.payload, null, 2);
  return h(
    "article",
    { class: "sheet message" },
    h("h3", { class: "code" }, name),
    h("p", { class: "quiet" }, sentence(summary)),
    h("details", {}, h("summary", {}, "Fields"), fields),
    h("details", {}, h("summary", {}, "Example"), h("pre", { class: "code", tabindex: "0" }, example)),
  );
}

/**
 * A row for each field; the fields of an object stand below it.
 * @param {AsyncApi} document
 * @param {Schema} schema
 * @param {string} prefix
 * @returns {HTMLTableRowElement[]}
 */
function fieldRows(document, schema, prefix = "") {
  const { properties = {}, required = [] } = resolve(document, schema);
  return Object.entries(properties).flatMap(([name, field]) => {
    const inner = resolve(document, field);
    const path = `${prefix}${name}`;
    const optional = !required.includes(name) && h("span", { class: "quiet small" }, " may be left out");
    const meaning = (inner.description ?? "").replace(/\s+/g, " ");
    const row = h(
      "tr",
      {},
      h("td", {}, h("span", { class: "code" }, path), optional),
      h("td", { class: "small" }, inner.properties ? "object" : valuesOf(document, field)),
      h("td", { class: "small quiet wide" }, sentence(meaning)),
    );
    return inner.properties ? [row, ...fieldRows(document, inner, `${path}.`)] : [row];
  });
}

/**
 * A text in which names stand between backticks.
 * @param {string} text
 */
function sentence(text) {
  return text.split("`").map((part, place) => (place % 2 ? h("span", { class: "code" }, part) : part));
}

const main = byId("main");
main.append(placeholder(8));
try {
  /** @type {AsyncApi} */
  const document = await getJson("/asyncapi.json");
  const sections = Object.entries(document.channels).map(([name, channel]) => channelSection(document, name, channel));
  const lead = h("p", { class: "lead" }, document.info.description);
  main.replaceChildren(h("div", { class: "stack" }, viewHead("Events and commands", lead), sections));
} catch (error) {
  const message = emptyState("The document can't be shown", ApiError.of(error).message);
  main.replaceChildren(h("h1", {}, "Events and commands"), message);
}
