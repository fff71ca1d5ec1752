// A worker that all tabs of a browser share: one stream for them all. A browser opens six connections to a host, and
// a stream in each tab would take them all; the seventh tab would never load.
import { Feed } from "./source.js";

const GONE_MS = 180_000; // A tab in the background may be held to one turn a minute.
const tabs = new Map();

const feed = new Feed((type, detail) => {
  for (const [port, tab] of tabs) {
    if (type !== "chart") port.postMessage({ type, detail });
    else if (tab.name === detail.name) port.postMessage({ type, detail: detail.chart });
  }
});

function follow() {
  if (tabs.size) feed.follow([...tabs.values()].map((tab) => tab.name).filter(Boolean));
  else feed.stop();
}

function leave(port) {
  tabs.delete(port);
  follow();
}

self.addEventListener("connect", ({ ports: [port] }) => {
  port.addEventListener("message", ({ data }) => {
    if (data.bye) {
      leave(port);
      return;
    }
    const tab = tabs.get(port) ?? {};
    const isNew = !tabs.has(port);
    tabs.set(port, tab);
    tab.seen = Date.now();
    if (isNew) {
      if (feed.state === "live") port.postMessage({ type: "live", detail: feed.latest });
      else if (feed.state === "lost") port.postMessage({ type: "state", detail: "lost" });
    }
    if (data.follow === undefined) return;
    tab.name = data.follow;
    follow();
    if (feed.charts.has(tab.name)) port.postMessage({ type: "chart", detail: feed.charts.get(tab.name) });
  });
  port.start();
});

setInterval(() => {
  for (const [port, tab] of tabs) if (Date.now() - tab.seen > GONE_MS) leave(port);
}, 30_000);
