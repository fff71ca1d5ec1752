// The way of an event and of a song through the system, with rates and lag at each stage, and what waits or died.
import { compact, day, empty, h, loading, mark, number, rate, span, tell } from "../dom.js";
import { ask } from "../live/stream.js";
import { words } from "../panels/rates.js";
import { PROJECTIONS, STATES } from "../labels.js";

// Each lane is a way; hubs and projections are found by name in what is live.
const LANES = [
  ["Plays and likes become charts", [["hub", "music-events"], ["hub", "trending-partials"], ["hub", "trending-tops"], ["projection", "charts"]]],
  ["Uploads become songs", [["queue", "song-commands"], ["process", "ingestion"], ["hub", "music-events"], ["projection", "catalog"], ["table", "catalog"]]],
  ["Everybody's events become libraries", [["hub", "music-events"], ["projection", "library"]]],
  ["Now playing: told, not kept", [["hub", "now-playing"]]],
];
const SORTS = { hub: "Event Hub", table: "Event Hub, compacted", projection: "Projection", queue: "Service Bus queue", process: "Worker" };
const LETTERS_MS = 10_000;

export function system() {
  const lanes = LANES.map(([title, names]) => {
    const stops = names.map(([sort, name]) => stop(sort, name));
    const element = h("section", {}, h("h2", {}, title), h("ol", { class: "lane" }, ...stops.map((one) => one.element)));
    element.style.setProperty("--stops", stops.length);
    return { element, stops };
  });
  const states = h("dl", { class: "tiles" }, ...Object.entries(STATES).map(([state, name]) => h("div", { "data-upload": state }, h("dt", {}, name), h("dd", {}, "–"))));
  const waiting = h("p", { class: "quiet small" });
  const recent = h("div", { class: "sheet" }, loading(3));
  const letters = h("div", { class: "sheet" }, loading(2));
  const records = h("div", { class: "sheet" }, loading(2));
  let counts = "";
  let timer = 0;
  let left = false;

  async function lists() {
    clearTimeout(timer);
    await Promise.all([fill(recent, "/v1/ingestions?limit=8", uploads), fill(letters, "/v1/deadletters", dead), fill(records, "/v1/parked", parked)]);
    clearTimeout(timer);
    if (!left) timer = setTimeout(lists, LETTERS_MS);
  }
  lists();

  return {
    title: "System",
    element: h(
      "div",
      { class: "stack" },
      h("div", { class: "head" }, h("div", {}, h("h1", {}, "The way through the system"), h("p", { class: "lead" }, "What comes in, how fast it moves on, and how far each projection is behind."))),
      h("div", { class: "lanes" }, ...lanes.map((lane) => lane.element)),
      h("section", {}, h("h2", {}, "Uploads by state"), states, waiting),
      h("section", {}, h("h2", {}, "Uploads that moved last"), recent),
      h("section", {}, h("h2", {}, "Dead letters"), letters),
      h("section", {}, h("h2", {}, "Parked records"), records),
    ),
    live(live) {
      for (const lane of lanes) {
        for (const one of lane.stops) one.live(live);
        lane.element.hidden = lane.stops.some((one) => one.absent);
      }
      const found = live.uploads?.states ?? {};
      for (const tile of states.children) {
        const count = found[tile.dataset.upload];
        tell(tile.lastChild, count === undefined ? "–" : number(count));
        mark(tile, "data-alarm", tile.dataset.upload === "dead" && count > 0 ? "true" : null);
      }
      tell(waiting, live.uploads?.waitingSince ? `The one that waits longest has not moved for ${span((Date.parse(live.asOf) - Date.parse(live.uploads.waitingSince)) / 1000)}.` : "");
      const now = JSON.stringify(found);
      if (counts && now !== counts) lists();
      counts = now;
    },
    again: lists,
    leave() {
      left = true;
      clearTimeout(timer);
    },
  };
}

function stop(sort, name) {
  const big = h("p", { class: "big" }, h("span", {}, "–"), h("small"));
  const note = h("p", { class: "note" }, " ");
  const title = sort === "projection" ? (PROJECTIONS[name] ?? name) : name;
  const element = h("li", { class: "stop", "data-sort": sort }, h("p", { class: "sort" }, SORTS[sort]), h("h3", {}, title), big, note);
  const show = (figure, unit, text, state) => {
    tell(big.firstChild, figure);
    tell(big.lastChild, unit);
    tell(note, text);
    mark(element, "data-state", state);
  };
  const found = ({ hubs }, unit) => {
    const hub = hubs.find((one) => one.name === name);
    show(rate(hub?.rate), `${unit}/s`, hub ? `${compact(hub.events)} in all` : "not known", null);
  };
  const read = {
    hub: (live) => found(live, "events"),
    table: (live) => found(live, "records"),
    projection({ projections }) {
      const found = projections.find((one) => one.name === name);
      stopped.absent = !found;
      if (found) show(found.lag === null ? "–" : compact(found.lag), found.lag === null ? "" : found.lag === 1 ? "event behind" : "events behind", found.secondsToCatchUp > 10 ? `about ${span(found.secondsToCatchUp)} to catch up` : words({ ...found, lag: 0 }), found.freshness);
    },
    queue({ uploads }) {
      show(uploads ? number(uploads.states.queued) : "–", "queued", uploads ? `${number(uploads.states.received)} being received` : "not known", null);
    },
    process({ uploads }) {
      show(uploads ? number(uploads.states.processing) : "–", "in work", uploads ? `${number(uploads.states.ready)} ready in all` : "not known", null);
    },
  };
  const stopped = { element, absent: false, live: read[sort] };
  return stopped;
}

async function fill(place, path, make) {
  try {
    place.replaceChildren(make(await ask(path)));
  } catch (error) {
    place.replaceChildren(empty("This can't be shown", error.message));
  }
}

function uploads({ ingestions }) {
  if (!ingestions.length) return empty("No uploads yet", "Files that are uploaded show up here at once, whatever becomes of them.");
  const row = (one) =>
    h(
      "tr",
      {},
      h("td", { class: "song" }, one.songId ? h("a", { href: `#/songs/${encodeURIComponent(one.songId)}` }, one.audio?.title ?? one.fileName ?? one.id) : h("span", {}, one.fileName ?? one.id), one.reason ? h("span", { class: "why" }, one.reason.text) : h("span", {}, one.userId)),
      h("td", {}, h("span", { class: "badge", "data-state": one.state }, STATES[one.state])),
      h("td", { class: "right quiet small wide" }, day(one.updatedAt)),
    );
  return table("Uploads that moved last", ["File", "State", "Moved"], ingestions.map(row));
}

function dead({ letters, more }) {
  if (!letters.length) return empty("None", "No command has died. One that fails too often, or can't be understood, is set aside here with its reason.");
  const row = (one) =>
    h("tr", {}, h("td", { class: "right number" }, String(one.number)), h("td", { class: "song" }, h("span", {}, one.fileName ?? one.commandId ?? "no command"), h("span", { class: "why" }, one.description ?? "")), h("td", {}, h("span", { class: "badge", "data-state": "dead" }, one.reason ?? "unknown")), h("td", { class: "right quiet small wide" }, one.sentAt ? day(one.sentAt) : ""));
  const rest = more ? "The oldest are shown. " : "";
  return h("div", {}, table("Dead letters", ["Number", "What", "Reason", "Sent"], letters.map(row)), h("p", { class: "quiet small hint" }, `${rest}`, h("span", { class: "code" }, "songline dlq"), " sends them again or gives them up."));
}

function parked({ records, waiting, more }) {
  if (!records.length) return empty("None", "No record is parked. One that a reader can't apply is passed over and set aside here with its reason.");
  const row = (one) => {
    const [failure] = Object.values(one.readers);
    return h("tr", {}, h("td", { class: "song" }, h("span", {}, one.id), h("span", { class: "why" }, `${Object.keys(one.readers).sort().join(", ")}: ${failure?.detail ?? ""}`)), h("td", {}, h("span", { class: "badge", "data-state": "dead" }, failure?.reason ?? "unknown")), h("td", { class: "right quiet small wide" }, day(one.parkedAt)));
  };
  const rest = more ? `The newest of ${number(waiting)} are shown. ` : "";
  return h("div", {}, table("Parked records", ["What", "Reason", "Parked"], records.map(row)), h("p", { class: "quiet small hint" }, `${rest}`, h("span", { class: "code" }, "songline parked"), " sends them again or discards them."));
}

function table(name, heads, rows) {
  const kind = (text) => (text === "Moved" || text === "Sent" || text === "Parked" ? "right wide" : text === "Number" ? "right" : text === "File" || text === "What" ? "song" : null);
  return h("table", {}, h("caption", { class: "unseen" }, name), h("thead", {}, h("tr", {}, ...heads.map((text, place) => h("th", { scope: "col", class: kind(text) }, text)))), h("tbody", {}, ...rows));
}
