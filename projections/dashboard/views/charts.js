// Charts of every kind, window and scope, as they change.
import { arrange, clock, empty, h, loading, mark, moment, number, span, tell } from "../dom.js";
import { ask } from "../live/stream.js";
import { playing } from "../panels/now-playing.js";
import { freshness, rates } from "../panels/rates.js";
import { KINDS, region, scopeName, SPANS, WINDOWS } from "../labels.js";

export function charts({ query }) {
  const asked = {
    kind: query.get("kind") in KINDS ? query.get("kind") : "top",
    window: query.get("window") in WINDOWS ? query.get("window") : "1h",
    scope: query.get("scope") || "global",
  };
  const go = (change) => (location.hash = `/?${new URLSearchParams({ ...asked, ...change })}`);
  const now = rates();
  const heard = playing();
  const fresh = freshness();
  const status = h("p", { class: "lead number" }, "Loading…");
  const notice = h("p", { class: "notice" });
  notice.hidden = true;
  const scopes = h("select", { "aria-label": "Where", onchange: (event) => go({ scope: event.target.value }) });
  offerScopes(scopes, asked.scope);
  const place = h("div", { class: "sheet" }, loading(10));
  const body = h("tbody");
  const table = h(
    "table",
    {},
    h("caption", { class: "unseen" }, "The chart, best first"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { class: "rank", scope: "col" }, "#"),
        h("th", { class: "move", scope: "col" }, h("span", { class: "unseen" }, "Movement")),
        h("th", { class: "song", scope: "col" }, "Song"),
        h("th", { class: "wide", scope: "col" }, "Genre"),
        h("th", { class: "right wide", scope: "col" }, "Likes"),
        h("th", { class: "right", scope: "col" }, "Listens"),
      ),
    ),
    body,
  );
  let chart = null;
  let projection = null;

  function freshnessLine() {
    if (!chart) return;
    const through = chart.completeThrough ? `, counted through ${clock(chart.completeThrough)}` : "";
    const since = chart.comparedWith ? `, movement since ${moment(chart.comparedWith)}` : "";
    tell(status, `As of ${clock(chart.asOf)}${through}${since}`);
    const stale = projection?.freshness === "stale";
    mark(table, "class", projection && projection.freshness !== "fresh" ? "aged" : null);
    notice.hidden = !stale;
    if (stale) tell(notice, `Stale: nothing was counted for ${span(projection.age)}. This chart is as of ${clock(chart.asOf)}.`);
  }

  return {
    title: `${KINDS[asked.kind]} songs`,
    follows: asked,
    element: h(
      "div",
      { class: "split" },
      h(
        "section",
        { "aria-label": "Chart" },
        h("div", { class: "head" }, h("div", {}, h("h1", {}, `${asked.kind === "top" ? "Most heard" : "Rising"} in the last ${SPANS[asked.window]}, ${where(asked.scope)}`), status)),
        h("div", { class: "controls" }, choice("Kind", KINDS, asked.kind, (kind) => go({ kind })), choice("Window", WINDOWS, asked.window, (window) => go({ window })), scopes),
        notice,
        place,
      ),
      h("aside", { class: "rail", "aria-label": "Right now" }, now.element, fresh.element, heard.element),
    ),
    live(live) {
      now.live(live);
      heard.live(live);
      fresh.live(live);
      projection = live.projections.find((one) => one.name === "charts");
      freshnessLine();
    },
    chart(found) {
      chart = found;
      if (!found) {
        tell(status, "Not computed yet");
        place.replaceChildren(empty("No chart yet", "The first one is made a few seconds after the trending worker has started and something was played."));
        return;
      }
      freshnessLine();
      if (!found.entries.length) {
        place.replaceChildren(empty("Nothing was heard here", `Nobody in ${scopeName(asked.scope)} listened to a song in the last ${SPANS[asked.window]}.`));
        return;
      }
      offerScopes(scopes, asked.scope, found);
      // Before there is an earlier hour to compare with, nothing is said of movement.
      mark(table, "data-alone", found.comparedWith ? null : "");
      const most = Math.max(...found.entries.map((entry) => entry.listens), 1);
      arrange(body, found.entries, (entry) => entry.songId, line, (row, entry) => fill(row, entry, most, found.comparedWith));
      if (!place.contains(table)) place.replaceChildren(table);
    },
    leave() {
      now.leave();
    },
  };
}

const where = (scope) => (scope === "global" ? "worldwide" : `in ${scopeName(scope)}`);

function line(entry) {
  const link = h("a", { href: `#/songs/${encodeURIComponent(entry.songId)}` });
  return h("tr", {}, h("td", { class: "rank" }), h("td", { class: "move" }), h("td", { class: "song" }, link, h("span")), h("td", { class: "wide quiet small" }), h("td", { class: "right wide" }), h("td", { class: "right share" }, h("b"), h("i", { "aria-hidden": "true" })));
}

/** `since` is the moment of the chart that this one is compared with, null while there is none. */
function fill(row, entry, most, since) {
  const [rank, move, song, genre, likes, share] = row.children;
  mark(row, "data-podium", entry.rank <= 3 ? "" : null);
  tell(rank, String(entry.rank));
  const by = entry.previousRank === null ? null : entry.previousRank - entry.rank;
  mark(move, "data-way", !since ? null : by === null ? "new" : by > 0 ? "up" : by < 0 ? "down" : null);
  tell(move, !since ? "" : by === null ? "new" : by > 0 ? `▲ ${by}` : by < 0 ? `▼ ${-by}` : "–");
  mark(move, "title", !since ? null : by === null ? `Not among the hundred at ${moment(since)}` : `Rank ${entry.previousRank} at ${moment(since)}`);
  tell(song.firstChild, entry.title ?? entry.songId);
  tell(song.lastChild, entry.artist ?? "not in the catalog yet");
  tell(genre, entry.genre ?? "");
  tell(likes, entry.likes ? number(entry.likes) : "");
  tell(share.firstChild, number(entry.listens));
  share.lastChild.style.width = `${Math.max(1, (100 * entry.listens) / most)}%`;
}

/** Radio buttons that look like one switch. */
function choice(name, names, chosen, choose) {
  return h(
    "fieldset",
    { class: "choice" },
    h("legend", { class: "unseen" }, name),
    ...Object.entries(names).map(([value, text]) => h("label", {}, h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => choose(value) }), h("span", {}, text))),
  );
}

let known = null;
const genres = new Set();

/** The world, genres that were seen, and all regions. */
async function offerScopes(select, chosen, chart) {
  for (const entry of chart?.entries ?? []) if (entry.genre) genres.add(entry.genre);
  if (chosen.startsWith("genre:")) genres.add(chosen.slice(6));
  const option = (value, text) => h("option", { value, selected: value === chosen }, text);
  const names = [...genres].sort();
  const seen = `${known ? known.length : 0} ${names.length}`;
  if (select.dataset.seen === seen || document.activeElement === select) return;
  select.dataset.seen = seen;
  const regions = known ?? (chosen.startsWith("region:") ? [chosen.slice(7)] : []);
  const byName = regions.map((code) => [code, region(code)]).sort((one, other) => one[1].localeCompare(other[1], "en"));
  select.replaceChildren(
    option("global", "World"),
    h("optgroup", { label: "Genres" }, ...names.map((genre) => option(`genre:${genre}`, genre))),
    h("optgroup", { label: "Regions" }, ...byName.map(([code, name]) => option(`region:${code}`, name))),
  );
  select.value = chosen;
  if (known === null) {
    known = [];
    try {
      known = (await ask("/v1/charts")).regions;
      offerScopes(select, chosen, chart);
    } catch {
      known = null;
    }
  }
}
