// A worker that all tabs of a browser share: one stream for them all. A browser opens six connections to a host. A
// stream in each tab would take them all, and the seventh tab would never load.
import { LiveSource } from "./source.js";

/** @import { TabMessage, WorkerRequest } from "../types.d.ts" */

/** @typedef {{ name: string | null, seenAt: number }} Tab a tab, with the name of the chart that it follows */

const MAX_ABSENCE_MS = 180_000; // A browser may hold a tab in the background to one turn a minute.
const CHECK_MS = 30_000;

/** @type {string | null | undefined} the user whose session the stream was opened with */
let user;

/** @type {Map<MessagePort, Tab>} */
const tabs = new Map();

const source = new LiveSource((message) => {
  for (const [port, tab] of tabs) {
    if (message.type !== "chart") send(port, message);
    else if (tab.name === message.detail.name) send(port, { type: "chart", detail: message.detail.chart });
  }
});

/**
 * @param {MessagePort} port
 * @param {TabMessage} message
 */
function send(port, message) {
  port.postMessage(message);
}

function followAll() {
  const names = [...tabs.values()].map((tab) => tab.name).filter((name) => name !== null);
  if (tabs.size) source.follow(names);
  else source.stop();
}

/** @param {MessagePort} port */
function forget(port) {
  tabs.delete(port);
  followAll();
}

/** @param {MessagePort} port */
function add(port) {
  /** @type {Tab} */
  const tab = { name: null, seenAt: Date.now() };
  tabs.set(port, tab);
  if (source.state === "live" && source.latest) send(port, { type: "live", detail: source.latest });
  else if (source.state === "lost") send(port, { type: "state", detail: "lost" });
  return tab;
}

/**
 * @param {MessagePort} port
 * @param {WorkerRequest} request
 */
function answer(port, request) {
  if ("bye" in request) {
    forget(port);
    return;
  }
  if ("user" in request) {
    if (user !== undefined && user !== request.user) source.reopen();
    user = request.user;
    return;
  }
  const tab = tabs.get(port) ?? add(port);
  tab.seenAt = Date.now();
  if (!("follow" in request)) return;
  tab.name = request.follow;
  followAll();
  const chart = tab.name === null ? undefined : source.charts.get(tab.name);
  if (chart !== undefined) send(port, { type: "chart", detail: chart });
}

self.addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  port?.addEventListener("message", ({ data }) => answer(port, data));
  port?.start();
});

setInterval(() => {
  for (const [port, tab] of tabs) if (Date.now() - tab.seenAt > MAX_ABSENCE_MS) forget(port);
}, CHECK_MS);
