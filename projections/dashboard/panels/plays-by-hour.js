// Listens to a song hour by hour, as bars and as a table.
import { emptyState, h } from "../dom.js";
import { formatDateTime, formatNumber } from "../format.js";
import { hourlyBars } from "../plots/hourly-bars.js";
import { table } from "../table.js";

/** @import { HourOfPlays, Plot } from "../types.d.ts" */

const COLUMNS = [{ text: "Hour from" }, { text: "Listens", class: "right" }, { text: "Likes", class: "right" }];

/**
 * Shows in `place` the hours from the first one that has a listen or a like. Returns null where there is none.
 * @param {HTMLElement} place
 * @param {HourOfPlays[]} hours oldest first
 * @param {number} asked how many hours were asked for
 * @returns {Plot | null}
 */
export function playsByHour(place, hours, asked) {
  const first = hours.findIndex((hour) => hour.listens || hour.likes);
  if (first < 0) {
    place.replaceChildren(emptyState("Nothing yet", `It was not heard in the last ${asked} hours.`));
    return null;
  }
  const shown = hours.slice(first);
  const canvas = h("div", { class: "canvas" });
  const open = place.querySelector("details")?.open ?? false;
  const figure = h("figure", { class: "sheet plot", role: "img", "aria-label": summaryOf(shown) }, canvas);
  const rows = h("tbody", {}, [...shown].reverse().map(hourRow));
  const details = h(
    "details",
    { open },
    h("summary", { class: "small quiet" }, "As a table"),
    table(null, COLUMNS, rows),
  );
  place.replaceChildren(figure, details);
  const bars = shown.map((hour) => ({ at: Date.parse(hour.hour), value: hour.listens, open: hour.counting }));
  return hourlyBars(canvas, "--plays", bars);
}

/** @param {HourOfPlays[]} hours at least one */
function summaryOf(hours) {
  const most = hours.reduce((one, other) => (other.listens > one.listens ? other : one));
  const when = formatDateTime(most.hour);
  return `Listens an hour, ${hours.length} hours; most were ${formatNumber(most.listens)} from ${when} on`;
}

/** @param {HourOfPlays} hour */
function hourRow({ hour, listens, likes, counting }) {
  return h(
    "tr",
    {},
    h("td", {}, formatDateTime(hour), counting ? h("span", { class: "quiet" }, " so far") : ""),
    h("td", { class: "right" }, formatNumber(listens)),
    h("td", { class: "right" }, formatNumber(likes)),
  );
}
