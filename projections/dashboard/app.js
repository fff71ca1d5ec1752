// The page begins here: one stream, and a view for each address behind the `#`.
import { byId, h, setAttribute } from "./dom.js";
import { LiveStream } from "./live/stream.js";
import { statusSign } from "./panels/status-sign.js";
import { charts } from "./views/charts.js";
import { listener } from "./views/listener.js";
import { song } from "./views/song.js";
import { songs } from "./views/songs.js";
import { system } from "./views/system.js";

/** @import { Route, View } from "./types.d.ts" */

/** @typedef {{ pattern: RegExp, make: (route: Route) => View, section: string }} ViewRoute */

/** @type {ViewRoute} the route of an address that no other one has */
const FIRST = { pattern: /^\/$/, make: charts, section: "/" };
/** @type {ViewRoute[]} */
const ROUTES = [
  FIRST,
  { pattern: /^\/songs$/, make: songs, section: "/songs" },
  { pattern: /^\/songs\/([^/]+)$/, make: song, section: "/songs" },
  { pattern: /^\/listeners(?:\/([^/]+))?$/, make: listener, section: "/listeners" },
  { pattern: /^\/system$/, make: system, section: "/system" },
];
const STATUS_MS = 1000;

const main = byId("main");
/** @type {NodeListOf<HTMLAnchorElement>} */
const links = document.querySelectorAll("#nav a");
const notice = h("p", { class: "notice", id: "notice" });
const status = statusSign(notice);

/** @type {View | null} */
let shown = null;
let away = false;

const stream = new LiveStream({
  onLive(live) {
    setAway(live.troubles.length > 0);
    shown?.onLive?.(live);
    status.update(stream);
  },
  onChart(chart) {
    shown?.onChart?.(chart);
  },
  onState(state) {
    if (state === "lost") setAway(true);
    status.update(stream);
  },
});

/**
 * Notes whether something behind the page is away. When it is back, the view asks again for what it could not get.
 * @param {boolean} now
 */
function setAway(now) {
  if (away && !now) shown?.onRecovery?.();
  away = now;
}

/** Shows the view of the address. */
function show() {
  const [path = "/", query = ""] = (location.hash.slice(1) || "/").split("?");
  const { pattern, make, section } = ROUTES.find((route) => route.pattern.test(path)) ?? FIRST;
  const isFirst = shown === null;
  shown?.onLeave?.();
  const values = (pattern.exec(path) ?? []).slice(1).map(decode);
  const view = make({ values, query: new URLSearchParams(query) });
  shown = view;
  document.title = `${view.title} · Songline`;
  main.replaceChildren(view.element);
  for (const link of links)
    setAttribute(link, "aria-current", new URL(link.href).hash === `#${section}` ? "page" : null);
  stream.follow(view.follows ?? null);
  if (stream.latest) view.onLive?.(stream.latest);
  if (isFirst) return;
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/**
 * A part of the address. One that can't be decoded is taken as it is.
 * @param {string | undefined} part
 */
function decode(part) {
  try {
    return part && decodeURIComponent(part);
  } catch {
    return part;
  }
}

byId("top").append(status.element);
main.before(notice);
addEventListener("hashchange", ({ newURL }) => {
  const { hash } = new URL(newURL);
  // The skip link is no address of a view.
  if (!hash || hash.startsWith("#/")) show();
});
setInterval(() => status.update(stream), STATUS_MS);
show();
