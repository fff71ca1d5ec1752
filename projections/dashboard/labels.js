// What things are called on the page, in one place.

/** @import { Chart, ImportState, IngestionState } from "./types.d.ts" */

/** @type {Record<Chart["kind"], string>} */
export const KINDS = { top: "Top", trending: "Trending" };

/** @type {Record<Chart["window"], string>} */
export const WINDOWS = { "5m": "5 min", "1h": "Hour", "24h": "Day", "7d": "Week" };

/** @type {Record<Chart["window"], string>} The windows as they stand in "in the last …". */
export const WINDOW_SPANS = { "5m": "five minutes", "1h": "hour", "24h": "24 hours", "7d": "seven days" };

/** @type {Record<IngestionState, string>} */
export const STATES = {
  received: "Received",
  queued: "Queued",
  processing: "Processing",
  ready: "Ready",
  rejected: "Rejected",
  dead: "Dead",
};

/** @type {Record<ImportState, string>} */
export const IMPORT_STATES = {
  queued: "Queued",
  running: "Reading",
  stopping: "Stopping",
  stopped: "Stopped",
  done: "Done",
  refused: "Refused",
  failed: "Failed",
  undoing: "Taking back",
  undone: "Taken back",
};

/** @type {ImportState[]} The states that an import does not leave by itself. */
export const ENDED_IMPORTS = ["stopped", "done", "refused", "failed", "undone"];

/** @type {IngestionState[]} The states that an upload does not leave by itself. */
export const FINAL_STATES = ["ready", "rejected", "dead"];

/** @type {Record<string, string>} */
const PROJECTIONS = { charts: "Charts", catalog: "Songs", library: "Libraries" };

const REGIONS = new Intl.DisplayNames("en", { type: "region" });

/** @param {string} name */
export const projectionLabel = (name) => PROJECTIONS[name] ?? name;

/** @param {string} code ISO 3166 */
export const regionLabel = (code) => REGIONS.of(code) ?? code;

/** @param {string} scope */
export function scopeLabel(scope) {
  const [kind, value = ""] = scope.split(/:(.*)/s);
  if (kind === "region") return regionLabel(value);
  return kind === "genre" ? value : "the world";
}
