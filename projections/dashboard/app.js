// Where the page begins: one stream, and a view for each address behind the #.
import { charts } from "./charts.js";
import { clock, h, mark, say, span, tell } from "./dom.js";
import { listener } from "./listener.js";
import { Stream } from "./live.js";
import { song } from "./song.js";
import { songs } from "./songs.js";
import { system } from "./system.js";
import { PROJECTIONS } from "./words.js";

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
const silence = h("p", { class: "notice bad", id: "silence" });
silence.hidden = true;
main.before(silence);

let shown = null;

function show() {
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  const found = VIEWS.find(([pattern]) => pattern.test(path));
  const [pattern, make, place] = found ?? [/^/, charts, "/"];
  const first = shown === null;
  shown?.leave?.();
  shown = make({
    stream,
    values: (pattern.exec(path) ?? []).slice(1).map((value) => (value === undefined ? value : decodeURIComponent(value))),
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

/** The one sign of how all is: no connection, a projection that is stale, or all well. */
function feel() {
  const stale = (stream.latest?.projections ?? []).filter((one) => one.freshness === "stale").map((one) => PROJECTIONS[one.name] ?? one.name);
  const state = stream.state !== "live" ? stream.state : stale.length ? "stale" : "live";
  const words = {
    waiting: () => "connecting",
    lost: () => (stream.since ? `connection lost ${span((Date.now() - stream.since) / 1000)} ago` : "no connection"),
    stale: () => `stale: ${stale.join(", ").toLowerCase()}`,
    live: () => "live",
  };
  tell(pulseText, words[state]());
  if (pulse.dataset.state === state) return;
  pulse.dataset.state = state;
  document.body.dataset.stream = stream.state;
  silence.hidden = state !== "lost";
  const had = stream.since ? `This page is as it was at ${clock(stream.since)}.` : "There is nothing to show yet.";
  tell(silence, `The connection is lost. ${had} It goes on by itself.`);
  if (state !== "waiting") say({ lost: silence.textContent, stale: `Stale: ${stale.join(", ")}.`, live: "Live." }[state]);
}

stream.addEventListener("live", (event) => {
  shown.live?.(event.detail);
  feel();
});
stream.addEventListener("chart", (event) => shown.chart?.(event.detail));
stream.addEventListener("state", (event) => {
  // What a view could not ask for meanwhile, it asks for again.
  if (event.detail === "live") shown.again?.();
  feel();
});
addEventListener("hashchange", (event) => {
  // The skip link is no address of a view.
  if (!new URL(event.newURL).hash.startsWith("#/") && new URL(event.newURL).hash) return;
  show();
});
setInterval(feel, 1000);
show();
