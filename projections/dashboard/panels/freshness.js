// How fresh each projection is.
import { h, setAttribute, setText } from "../dom.js";
import { formatCount, formatDuration } from "../format.js";
import { projectionLabel } from "../labels.js";

/** @import { Live, Projection, Row } from "../types.d.ts" */

export function freshness() {
  const list = h("dl", { class: "facts" });
  /** @type {Row<Projection>[]} in the order of the API */
  const rows = [];
  return {
    element: h("section", { class: "fresh" }, h("h2", {}, "Freshness"), list),
    /** @param {Live} live */
    onLive({ projections }) {
      projections.forEach((projection, place) => {
        let row = rows[place];
        if (!row) {
          row = freshnessRow();
          rows.push(row);
          list.append(row.element);
        }
        row.update(projection);
      });
    },
  };
}

/** @returns {Row<Projection>} */
function freshnessRow() {
  const name = h("span");
  const head = h("dt", {}, h("span", { class: "dot", "aria-hidden": "true" }), name);
  const age = h("dd");
  const element = h("div", {}, head, age);
  return {
    element,
    update(projection) {
      setAttribute(head, "data-state", projection.freshness);
      setAttribute(element, "data-state", projection.freshness);
      setText(name, projectionLabel(projection.name));
      setText(age, `${ageOf(projection)}${lagOf(projection)}`);
    },
  };
}

/**
 * The age of a projection, in words.
 * @param {Projection} projection
 */
export function ageOf({ freshness, age }) {
  if (freshness === "unknown") return "not known";
  if (age === null) return `${freshness}, age not known`;
  return `${freshness === "stale" ? "stale: " : ""}${formatDuration(age)} old`;
}

/** @param {Projection} projection */
function lagOf({ freshness, lag }) {
  return freshness !== "unknown" && lag ? `, ${formatCount(lag, "event")} behind` : "";
}
