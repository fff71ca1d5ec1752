// Where the page begins: one stream, and a view for each address behind the #.
import { charts } from "./views/charts.js";
import { clock, h, mark, say, span, tell } from "./dom.js";
import { listener } from "./views/listener.js";
import { Stream } from "./live/stream.js";
import { song } from "./views/song.js";
import { songs } from "./views/songs.js";
import { system } from "./views/system.js";
import { PROJECTIONS } from "./labels.js";

const VIEWS = [
  [/^\/$/, charts, "/"],
  [/^\/songs$/, songs, "/songs"],
  [/^\/songs\/([^/]+)$/, song, "/songs"],
  [/^\/listeners(?:\/([^/]+))?$/, listener, "/listeners"],
  [/^\/system$/, system, "/system"],
];

const stream = new Stream();
const main = document.getElementById("main");
const links = [...document.querySelectorAll("#nav a")];
const pulseText = h("span", { id: "pulse-text" }, "connecting");
const pulse = h("p", { class: "pulse", id: "pulse", "data-state": "waiting" }, h("span", { class: "dot", "aria-hidden": "true" }), pulseText);
document.getElementById("top").append(pulse);
const notice = h("p", { class: "notice", id: "notice" });
notice.hidden = true;
main.before(notice);

let shown = null;

function show() {
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  const found = VIEWS.find(([pattern]) => pattern.test(path));
  const [pattern, make, place] = found ?? [/^/, charts, "/"];
  const first = shown === null;
  shown?.leave?.();
  shown = make({
    stream,
    values: (pattern.exec(path) ?? []).slice(1).map(decoded),
    query: new URLSearchParams(query),
  });
  document.title = `${shown.title} · Songline`;
  main.replaceChildren(shown.element);
  for (const link of links) mark(link, "aria-current", new URL(link.href).hash === `#${place}` ? "page" : null);
  stream.follow(shown.follows ?? null);
  if (stream.latest) shown.live?.(stream.latest);
  if (!first) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/** A part of the address; one that a hand has broken is taken as it is. */
function decoded(part) {
  try {
    return part && decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The one sign of how all is: no connection, something that can't be looked at, a projection that is stale, or well. */
function feel() {
  const { state, since, latest } = stream;
  const stale = (latest?.projections ?? []).filter((one) => one.freshness === "stale").map((one) => PROJECTIONS[one.name] ?? one.name);
  const feels = state !== "live" ? state : latest.troubles.length ? "unknown" : stale.length ? "stale" : "live";
  const had = since ? `This page is as it was at ${clock(since)}.` : "There is nothing to show yet.";
  const [sign, words] = {
    waiting: () => ["connecting", ""],
    lost: () => [since ? `connection lost ${span((Date.now() - since) / 1000)} ago` : "no connection", `The connection is lost. ${had} It goes on by itself.`],
    unknown: () => ["in part unknown", latest.troubles.join(" ")],
    stale: () => [`stale: ${stale.join(", ").toLowerCase()}`, latest.projections.flatMap((one) => one.notReady).join(" ")],
    live: () => ["live", ""],
  }[feels]();
  tell(pulseText, sign);
  tell(notice, words);
  notice.hidden = !words;
  if (pulse.dataset.state === feels) return;
  pulse.dataset.state = document.body.dataset.stream = feels;
  if (feels !== "waiting") say(words || `${sign[0].toUpperCase()}${sign.slice(1)}.`);
}

/** What a view could not ask for while something was away, it asks for again. */
let away = false;
function seen(now) {
  if (away && !now) shown.again?.();
  away = now;
}

stream.addEventListener("live", (event) => {
  seen(event.detail.troubles.length > 0);
  shown.live?.(event.detail);
  feel();
});
stream.addEventListener("chart", (event) => shown.chart?.(event.detail));
stream.addEventListener("state", (event) => {
  if (event.detail === "lost") seen(true);
  feel();
});
addEventListener("hashchange", (event) => {
  // The skip link is no address of a view.
  if (!new URL(event.newURL).hash.startsWith("#/") && new URL(event.newURL).hash) return;
  show();
});
setInterval(feel, 1000);
show();
