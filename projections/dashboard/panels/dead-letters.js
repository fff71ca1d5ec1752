// Commands that could not be carried out, the oldest first.
import { emptyState, h } from "../dom.js";
import { formatDateTime } from "../format.js";
import { songCell, table } from "../table.js";

/** @import { DeadLetter, DeadLetters } from "../types.d.ts" */

const NONE = "A command that fails too often, or can't be read, appears here with its reason.";
const COLUMNS = [
  { text: "Number", class: "right" },
  { text: "What", class: "song" },
  { text: "Reason" },
  { text: "Sent", class: "right wide" },
];

/** @param {DeadLetters} answer */
export function deadLetters({ letters, more }) {
  if (!letters.length) return emptyState("No dead letters", NONE);
  const hint = h(
    "p",
    { class: "quiet small hint" },
    more ? "The oldest are shown. " : "",
    h("span", { class: "code" }, "songline dlq"),
    " sends them again or discards them.",
  );
  return h("div", {}, table("Dead letters", COLUMNS, h("tbody", {}, letters.map(letterRow))), hint);
}

/** @param {DeadLetter} letter */
function letterRow({ number, fileName, commandId, description, reason, sentAt }) {
  return h(
    "tr",
    {},
    h("td", { class: "right number" }, String(number)),
    songCell(h("span", {}, fileName ?? commandId ?? "no command"), h("span", { class: "why" }, description ?? "")),
    h("td", {}, h("span", { class: "badge", "data-state": "dead" }, reason ?? "unknown")),
    h("td", { class: "right quiet small wide" }, sentAt ? formatDateTime(sentAt) : ""),
  );
}
