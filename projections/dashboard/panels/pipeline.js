// The stages of a pipeline, with the rate or the lag of each.
import { h, setAttribute, setText } from "../dom.js";
import { formatCompact, formatDuration, formatNumber, formatRate } from "../format.js";
import { projectionLabel } from "../labels.js";
import { ageOf } from "./freshness.js";

/** @import { Live, Projection } from "../types.d.ts" */

/** @typedef {"hub" | "table" | "projection" | "queue" | "process"} StageKind */

/**
 * What a stage shows: a figure with its unit, and a note below.
 * @typedef {{ figure: string, unit: string, note: string, state?: Projection["freshness"] }} Reading
 */

/** @type {Record<StageKind, string>} */
const KINDS = {
  hub: "Event Hub",
  table: "Event Hub, compacted",
  projection: "Projection",
  queue: "Service Bus queue",
  process: "Worker",
};
/** @type {Record<StageKind, (live: Live, name: string) => Reading | null>} */
const READINGS = {
  hub: (live, name) => hubReading(live, name, "events"),
  table: (live, name) => hubReading(live, name, "records"),
  projection: projectionReading,
  queue: ({ uploads }) => ({
    figure: uploads ? formatNumber(uploads.states.queued ?? 0) : "–",
    unit: "queued",
    note: uploads ? `${formatNumber(uploads.states.received ?? 0)} being received` : "not known",
  }),
  process: ({ uploads }) => ({
    figure: uploads ? formatNumber(uploads.states.processing ?? 0) : "–",
    unit: "processing",
    note: uploads ? `${formatNumber(uploads.states.ready ?? 0)} ready in all` : "not known",
  }),
};
const MIN_CATCH_UP_S = 10;

/**
 * @param {string} title
 * @param {[StageKind, string][]} stages kind and name; hubs and projections are found by name in what the API sends
 */
export function pipeline(title, stages) {
  const shown = stages.map(([kind, name]) => stage(kind, name));
  const list = h(
    "ol",
    { class: "lane" },
    shown.map((one) => one.element),
  );
  const element = h("section", {}, h("h2", {}, title), list);
  element.style.setProperty("--stops", String(shown.length));
  return {
    element,
    /** @param {Live} live */
    onLive(live) {
      const present = shown.map((one) => one.update(live));
      element.hidden = present.includes(false);
    },
  };
}

/**
 * @param {StageKind} kind
 * @param {string} name
 */
function stage(kind, name) {
  const figure = h("span", {}, "–");
  const unit = h("small");
  const note = h("p", { class: "note" }, " ");
  const element = h(
    "li",
    { class: "stop", "data-sort": kind },
    h("p", { class: "sort" }, KINDS[kind]),
    h("h3", {}, kind === "projection" ? projectionLabel(name) : name),
    h("p", { class: "big" }, figure, unit),
    note,
  );
  return {
    element,
    /**
     * Shows what the API sends of this stage. Returns false where this deployment has no such stage.
     * @param {Live} live
     */
    update(live) {
      const reading = READINGS[kind](live, name);
      if (reading === null) return false;
      setText(figure, reading.figure);
      setText(unit, reading.unit);
      setText(note, reading.note);
      setAttribute(element, "data-state", reading.state);
      return true;
    },
  };
}

/**
 * @param {Live} live
 * @param {string} name
 * @param {string} noun
 * @returns {Reading}
 */
function hubReading({ hubs }, name, noun) {
  const hub = hubs.find((one) => one.name === name);
  const note = hub ? `${formatCompact(hub.events)} in all` : "not known";
  return { figure: formatRate(hub?.rate), unit: `${noun}/s`, note };
}

/**
 * @param {Live} live
 * @param {string} name
 * @returns {Reading | null}
 */
function projectionReading({ projections }, name) {
  const projection = projections.find((one) => one.name === name);
  if (!projection) return null;
  const { lag, freshness } = projection;
  const catchUp = projection.secondsToCatchUp ?? 0;
  const note = catchUp > MIN_CATCH_UP_S ? `about ${formatDuration(catchUp)} to catch up` : ageOf(projection);
  if (lag === null) return { figure: "–", unit: "", note, state: freshness };
  return { figure: formatCompact(lag), unit: lag === 1 ? "event behind" : "events behind", note, state: freshness };
}
