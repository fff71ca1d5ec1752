// The AsyncAPI document as a page: channels, who sends and receives, and what each message holds.
import { empty, h, loading } from "./dom.js";
import { ask } from "./live/stream.js";

const main = document.getElementById("main");
const SORTS = { eventhubs: "Event Hub", servicebus: "Service Bus queue" };

function resolved(document, node) {
  return node?.$ref ? node.$ref.slice(2).split("/").reduce((part, name) => part[name.replaceAll("~1", "/").replaceAll("~0", "~")], document) : node;
}

/** What a value may be, in words. */
function sort(document, schema) {
  const found = resolved(document, schema);
  if (found.anyOf) return found.anyOf.map((one) => sort(document, one)).join(" or ");
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.length > 8 ? `one of ${found.enum.length}, like ${found.enum[0]}` : found.enum.map((one) => JSON.stringify(one)).join(" or ");
  const range = [found.minimum !== undefined && `from ${found.minimum}`, found.maximum !== undefined && `to ${found.maximum}`].filter(Boolean).join(" ");
  return [found.format ?? found.type ?? "anything", range].filter(Boolean).join(", ");
}

/** A sentence in which names stand between backticks. */
const sentence = (text) => text.split("`").map((part, place) => (place % 2 ? h("span", { class: "code" }, part) : part));

/** A row for each field, those of what is nested below it. */
function fields(document, schema, prefix = "") {
  const found = resolved(document, schema);
  return Object.entries(found.properties ?? {}).flatMap(([name, field]) => {
    const inner = resolved(document, field);
    const needed = (found.required ?? []).includes(name);
    const row = h("tr", {}, h("td", {}, h("span", { class: "code" }, `${prefix}${name}`), needed ? null : h("span", { class: "quiet small" }, " may be left out")), h("td", { class: "small" }, inner.properties ? "object" : sort(document, field)), h("td", { class: "small quiet wide" }, ...sentence((inner.description ?? "").replace(/\s+/g, " "))));
    return inner.properties ? [row, ...fields(document, inner, `${prefix}${name}.`)] : [row];
  });
}

function message(document, reference) {
  const found = resolved(document, reference);
  const head = ["Field", "Value", "Meaning"].map((text, place) => h("th", { scope: "col", class: place === 2 ? "wide" : null }, text));
  return h(
    "article",
    { class: "sheet message" },
    h("h3", { class: "code" }, found.name),
    h("p", { class: "quiet" }, ...sentence(found.summary)),
    h("details", {}, h("summary", {}, "Fields"), h("table", {}, h("caption", { class: "unseen" }, `Fields of ${found.name}`), h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...fields(document, found.payload)))),
    h("details", {}, h("summary", {}, "Example"), h("pre", { class: "code", tabindex: "0" }, JSON.stringify(found.examples[0].payload, null, 2))),
  );
}

function channel(document, [name, found]) {
  const uses = Object.values(document.operations).filter((one) => one.channel.$ref.endsWith(`/${name}`));
  const server = found.servers[0].$ref.split("/").pop();
  const messages = Object.values(found.messages);
  return h(
    "section",
    { id: name },
    h("h2", {}, SORTS[server]),
    h("h3", { class: "channel" }, name),
    h("p", { class: "quiet" }, ...sentence(found.description)),
    h("dl", { class: "facts uses" }, ...uses.map((one) => h("div", {}, h("dt", {}, one.action === "send" ? "Sent by" : "Received by"), h("dd", {}, one.summary)))),
    h("div", { class: "ways" }, ...messages.map((one) => message(document, one))),
  );
}

main.append(loading(8));
try {
  const document = await ask("/asyncapi.json");
  const head = h("div", { class: "head" }, h("div", {}, h("h1", {}, "Events and commands"), h("p", { class: "lead" }, document.info.description)));
  main.replaceChildren(h("div", { class: "stack" }, head, ...Object.entries(document.channels).map((one) => channel(document, one))));
} catch (error) {
  main.replaceChildren(h("h1", {}, "Events and commands"), empty("The document can't be shown", error.message));
}
