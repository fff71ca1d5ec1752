// Charts of every kind, window and scope, as they change.
import { emptyState, h, placeholder, setAttribute, setText, viewHead } from "../dom.js";
import { formatClock, formatDuration, formatMoment } from "../format.js";
import { KINDS, scopeLabel, WINDOW_SPANS, WINDOWS } from "../labels.js";
import { chartTable } from "../panels/chart-table.js";
import { freshness } from "../panels/freshness.js";
import { nowPlaying } from "../panels/now-playing.js";
import { rates } from "../panels/rates.js";
import { scopeSelect } from "../panels/scope-select.js";

/** @import { Chart, ChartKey, Projection, Route, View } from "../types.d.ts" */

const NOT_COMPUTED = "The first chart appears a few seconds after the trending worker starts and a song is played.";

/**
 * @param {Route} route
 * @returns {View}
 */
export function charts({ query }) {
  const followed = chartKeyOf(query);
  const { kind, window, scope } = followed;
  /** @param {Partial<ChartKey>} change */
  const go = (change) => {
    location.hash = `/?${new URLSearchParams({ ...followed, ...change })}`;
  };
  const panels = { rates: rates(), freshness: freshness(), playing: nowPlaying() };
  const status = h("p", { class: "lead number" }, "Loading…");
  const notice = h("p", { class: "notice" });
  notice.hidden = true;
  const scopes = scopeSelect(scope, (chosen) => go({ scope: chosen }));
  const place = h("div", { class: "sheet" }, placeholder(10));
  const table = chartTable();
  /** @type {Chart | null} */
  let chart = null;
  /** @type {Projection | undefined} */
  let projection;

  function showFreshness() {
    if (!chart) return;
    setText(status, statusOf(chart));
    setAttribute(table.element, "class", projection && projection.freshness !== "fresh" ? "aged" : null);
    notice.hidden = projection?.freshness !== "stale";
    if (projection?.freshness === "stale") setText(notice, staleText(projection, chart));
  }

  const title = `${kind === "top" ? "Most heard" : "Rising"} in the last ${WINDOW_SPANS[window]}, ${inScope(scope)}`;
  const main = h(
    "section",
    { "aria-label": "Chart" },
    viewHead(title, status),
    h(
      "div",
      { class: "controls" },
      choice("Kind", KINDS, kind, (chosen) => go({ kind: chosen })),
      choice("Window", WINDOWS, window, (chosen) => go({ window: chosen })),
      scopes.element,
    ),
    notice,
    place,
  );
  const rail = Object.values(panels).map((panel) => panel.element);
  return {
    title: `${KINDS[kind]} songs`,
    follows: followed,
    element: h("div", { class: "split" }, main, h("aside", { class: "rail", "aria-label": "Right now" }, rail)),
    onLive(live) {
      for (const panel of Object.values(panels)) panel.onLive(live);
      projection = live.projections.find((one) => one.name === "charts");
      showFreshness();
    },
    onChart(changed) {
      chart = changed;
      if (!changed) {
        setText(status, "Not computed yet");
        place.replaceChildren(emptyState("No chart yet", NOT_COMPUTED));
        return;
      }
      showFreshness();
      if (!changed.entries.length) {
        const text = `Nobody in ${scopeLabel(scope)} listened to a song in the last ${WINDOW_SPANS[window]}.`;
        place.replaceChildren(emptyState("Nothing was heard here", text));
        return;
      }
      scopes.offer(changed.entries);
      table.update(changed);
      if (!place.contains(table.element)) place.replaceChildren(table.element);
    },
    onLeave: panels.rates.onLeave,
  };
}

/**
 * The chart that an address asks for. What the address has wrong is taken from the first chart of all.
 * @param {URLSearchParams} query
 * @returns {ChartKey}
 */
function chartKeyOf(query) {
  return {
    kind: keyOf(KINDS, query.get("kind")) ?? "top",
    window: keyOf(WINDOWS, query.get("window")) ?? "1h",
    scope: query.get("scope") || "global",
  };
}

/**
 * `name` if it is a key of `labels`.
 * @template {string} Key
 * @param {Record<Key, string>} labels
 * @param {string | null} name
 */
function keyOf(labels, name) {
  return name !== null && Object.hasOwn(labels, name) ? /** @type {Key} */ (name) : null;
}

/** @param {Chart} chart */
function statusOf({ asOf, completeThrough, comparedWith }) {
  const counted = completeThrough ? `, counted through ${formatClock(completeThrough)}` : "";
  const since = comparedWith ? `, movement since ${formatMoment(comparedWith)}` : "";
  return `As of ${formatClock(asOf)}${counted}${since}`;
}

/**
 * What is said of a chart whose projection is stale.
 * @param {Projection} projection
 * @param {Chart} chart
 */
export function staleText({ age }, { asOf }) {
  const what =
    age === null ? "it is not known how far events are counted" : `nothing was counted for ${formatDuration(age)}`;
  return `Stale: ${what}. This chart is as of ${formatClock(asOf)}.`;
}

/** @param {string} scope */
const inScope = (scope) => (scope === "global" ? "worldwide" : `in ${scopeLabel(scope)}`);

/**
 * Radio buttons that look like one switch.
 * @template {string} Key
 * @param {string} name
 * @param {Record<Key, string>} labels
 * @param {Key} chosen
 * @param {(key: Key) => void} choose
 */
function choice(name, labels, chosen, choose) {
  const keys = /** @type {Key[]} */ (Object.keys(labels));
  const buttons = keys.map((key) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name, value: key, checked: key === chosen, onchange: () => choose(key) }),
      h("span", {}, labels[key]),
    ),
  );
  return h("fieldset", { class: "choice" }, h("legend", { class: "unseen" }, name), buttons);
}
