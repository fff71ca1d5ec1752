// The uploads whose state changed last.
import { emptyState, h } from "../dom.js";
import { formatDateTime } from "../format.js";
import { STATES } from "../labels.js";
import { songLink } from "../links.js";
import { songCell, table } from "../table.js";

/** @import { GetAnswers, Ingestion } from "../types.d.ts" */

const COLUMNS = [{ text: "File", class: "song" }, { text: "State" }, { text: "Changed", class: "right wide" }];

/** @param {GetAnswers["/v1/ingestions"]} answer */
export function recentUploads({ ingestions }) {
  if (ingestions.length) return table("Recent uploads", COLUMNS, h("tbody", {}, ingestions.map(uploadRow)));
  return emptyState("No uploads yet", "Uploads appear here at once, those that are rejected too.");
}

/** @param {Ingestion} upload */
function uploadRow({ id, songId, audio, fileName, reason, userId, state, updatedAt }) {
  const name = songId
    ? h("a", { href: songLink(songId) }, audio?.title ?? fileName ?? id)
    : h("span", {}, fileName ?? id);
  const below = reason ? h("span", { class: "why" }, reason.text) : h("span", {}, userId);
  return h(
    "tr",
    {},
    songCell(name, below),
    h("td", {}, h("span", { class: "badge", "data-state": state }, STATES[state])),
    h("td", { class: "right quiet small wide" }, formatDateTime(updatedAt)),
  );
}
