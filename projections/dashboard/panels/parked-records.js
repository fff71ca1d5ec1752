// Records that a reader could not apply, the newest first.
import { emptyState, h } from "../dom.js";
import { formatDateTime, formatNumber } from "../format.js";
import { songCell, table } from "../table.js";

/** @import { ParkedRecord, ParkedRecords } from "../types.d.ts" */

const NONE = "A record that a reader can't apply appears here with its reason.";
const COLUMNS = [{ text: "What", class: "song" }, { text: "Reason" }, { text: "Parked", class: "right wide" }];

/** @param {ParkedRecords} answer */
export function parkedRecords({ records, waiting, more }) {
  if (!records.length) return emptyState("No parked records", NONE);
  const hint = h(
    "p",
    { class: "quiet small hint" },
    more ? `The newest of ${formatNumber(waiting)} are shown. ` : "",
    h("span", { class: "code" }, "songline parked"),
    " sends them again or discards them.",
  );
  return h("div", {}, table("Parked records", COLUMNS, h("tbody", {}, records.map(recordRow))), hint);
}

/** @param {ParkedRecord} record */
function recordRow({ id, readers, parkedAt }) {
  const [failure] = Object.values(readers);
  const why = `${Object.keys(readers).sort().join(", ")}: ${failure?.detail ?? ""}`;
  return h(
    "tr",
    {},
    songCell(h("span", {}, id), h("span", { class: "why" }, why)),
    h("td", {}, h("span", { class: "badge", "data-state": "dead" }, failure?.reason ?? "unknown")),
    h("td", { class: "right quiet small wide" }, formatDateTime(parkedAt)),
  );
}
