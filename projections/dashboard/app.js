// The page begins here: one stream, and a view for each address behind the `#`.
import { byId, h, setAttribute, viewHead } from "./dom.js";
import { LiveStream } from "./live/stream.js";
import { account, notAllowed } from "./panels/account.js";
import { statusSign } from "./panels/status-sign.js";
import { session } from "./session.js";
import { charts } from "./views/charts.js";
import { listener } from "./views/listener.js";
import { song } from "./views/song.js";
import { songs } from "./views/songs.js";
import { system } from "./views/system.js";

/** @import { Route, View } from "./types.d.ts" */

/**
 * A route, with the group of operations that its view shows, where that is not the view's own matter.
 * @typedef {{ pattern: RegExp, make: (route: Route) => View, section: string, group?: string }} ViewRoute
 */

/** @type {ViewRoute} the route of an address that no other one has */
const FIRST = { pattern: /^\/$/, make: charts, section: "/", group: "charts" };
/** @type {ViewRoute[]} */
const ROUTES = [
  FIRST,
  { pattern: /^\/songs$/, make: songs, section: "/songs", group: "songs" },
  { pattern: /^\/songs\/([^/]+)$/, make: song, section: "/songs", group: "songs" },
  { pattern: /^\/listeners(?:\/([^/]+))?$/, make: listener, section: "/listeners" },
  { pattern: /^\/system$/, make: system, section: "/system", group: "charts" },
];
const STATUS_MS = 1000;

const main = byId("main");
/** @type {NodeListOf<HTMLAnchorElement>} */
const links = document.querySelectorAll("#nav a");
const notice = h("p", { class: "notice", id: "notice" });
const status = statusSign(notice);
const user = account();

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
    // The stream ends with a session, too.
    if (state === "lost") session.refresh();
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
  const { pattern, make, section, group } = ROUTES.find((route) => route.pattern.test(path)) ?? FIRST;
  const isFirst = shown === null;
  shown?.onLeave?.();
  const values = (pattern.exec(path) ?? []).slice(1).map(decode);
  const isAllowed = group === undefined || session.may("charts:read", group);
  const view = isAllowed ? make({ values, query: new URLSearchParams(query) }) : closed();
  shown = view;
  document.title = `${view.title} · Songline`;
  main.replaceChildren(view.element);
  for (const link of links)
    setAttribute(link, "aria-current", new URL(link.href).hash === `#${section}` ? "page" : null);
  watch(view);
  if (isFirst) return;
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/**
 * What stands in place of a view that this user may not see.
 * @returns {View}
 */
function closed() {
  const text = session.subject === null ? "Sign in to see this." : "Your sign-in does not allow to see this.";
  return {
    title: "Sign in",
    element: h("div", { class: "stack" }, viewHead("Songline"), notAllowed("Not open", text)),
  };
}

/**
 * Follows what the view shows, where the user may see it.
 * @param {View} view
 */
function watch(view) {
  const isAllowed = session.may("charts:read", "charts");
  status.element.hidden = !isAllowed;
  if (!isAllowed) return;
  stream.follow(view.follows ?? null);
  if (stream.latest) view.onLive?.(stream.latest);
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

byId("top").append(status.element, user.element);
main.before(notice);
addEventListener("hashchange", ({ newURL }) => {
  const { hash } = new URL(newURL);
  // The skip link is no address of a view.
  if (!hash || hash.startsWith("#/")) show();
});
setInterval(() => status.update(stream), STATUS_MS);
session.onChange(({ subject }) => {
  stream.changeUser(subject);
  user.update();
  show();
});
await session.begin();
stream.changeUser(session.subject);
user.update();
show();
