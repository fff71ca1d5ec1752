// A chart as a table whose rows move as ranks change.
import { h, setAttribute, setText } from "../dom.js";
import { formatMoment, formatNumber } from "../format.js";
import { KeyedRows } from "../keyed-rows.js";
import { songLink } from "../links.js";
import { table } from "../table.js";

/** @import { Chart, ChartEntry, Row } from "../types.d.ts" */

/**
 * An entry of a chart. `mostListens` is the largest count in the chart. `comparedWith` is the moment of the chart that
 * previous ranks are of, null while there is none.
 * @typedef {{ entry: ChartEntry, mostListens: number, comparedWith: string | null }} Item
 */

const COLUMNS = [
  { text: "#", class: "rank" },
  { text: "Movement", class: "move", unseen: true },
  { text: "Song", class: "song" },
  { text: "Genre", class: "wide" },
  { text: "Likes", class: "right wide" },
  { text: "Listens", class: "right" },
];
const PODIUM = 3;

export function chartTable() {
  const body = h("tbody");
  const element = table("The chart, best first", COLUMNS, body);
  /** @type {KeyedRows<Item>} */
  const rows = new KeyedRows(body, ({ entry }) => entry.songId, chartRow);
  return {
    element,
    /** @param {Chart} chart */
    update({ entries, comparedWith = null }) {
      // Before there is an earlier hour to compare with, nothing is said of movement.
      setAttribute(element, "data-alone", comparedWith ? null : "");
      const mostListens = Math.max(...entries.map((entry) => entry.listens), 1);
      rows.update(entries.map((entry) => ({ entry, mostListens, comparedWith })));
    },
  };
}

/**
 * @param {Item} item
 * @returns {Row<Item>}
 */
function chartRow({ entry: { songId } }) {
  const rank = h("td", { class: "rank" });
  const move = h("td", { class: "move" });
  const title = h("a", { href: songLink(songId) });
  const artist = h("span");
  const genre = h("td", { class: "wide quiet small" });
  const likes = h("td", { class: "right wide" });
  const listens = h("b");
  const bar = h("i", { "aria-hidden": "true" });
  const song = h("td", { class: "song" }, title, artist);
  const share = h("td", { class: "right share" }, listens, bar);
  const element = h("tr", {}, rank, move, song, genre, likes, share);
  return {
    element,
    update({ entry, mostListens, comparedWith }) {
      setAttribute(element, "data-podium", entry.rank <= PODIUM ? "" : null);
      setText(rank, String(entry.rank));
      const movement = movementOf(entry, comparedWith);
      setAttribute(move, "data-way", movement.way);
      setText(move, movement.text);
      setAttribute(move, "title", movement.title);
      setText(title, entry.title ?? songId);
      setText(artist, entry.artist ?? "not in the catalog yet");
      setText(genre, entry.genre ?? "");
      setText(likes, entry.likes ? formatNumber(entry.likes) : "");
      setText(listens, formatNumber(entry.listens));
      bar.style.width = `${Math.max(1, (100 * entry.listens) / mostListens)}%`;
    },
  };
}

/**
 * @param {ChartEntry} entry
 * @param {string | null} comparedWith
 * @returns {{ way: string | null, text: string, title: string | null }}
 */
function movementOf({ rank, previousRank }, comparedWith) {
  if (!comparedWith) return { way: null, text: "", title: null };
  const when = formatMoment(comparedWith);
  if (previousRank === null) return { way: "new", text: "new", title: `Not among the hundred at ${when}` };
  const title = `Rank ${previousRank} at ${when}`;
  const places = previousRank - rank;
  if (places > 0) return { way: "up", text: `▲ ${places}`, title };
  if (places < 0) return { way: "down", text: `▼ ${-places}`, title };
  return { way: null, text: "–", title };
}
