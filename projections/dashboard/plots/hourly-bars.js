// Bars over hours.
import uPlot from "/assets/vendor/uPlot.esm.js";
import { formatDate, formatTime } from "../format.js";
import { colour, faint, fittedPlot, fromZero, NO_CURSOR } from "./plot.js";

/** @import { Axis } from "uplot" */

/** @typedef {{ at: number, value: number, open: boolean }} Bar an hour that begins `at` milliseconds since 1970 */

const HOUR_S = 3600;
const MIN_HOURS = 12;
const FONT = "11px Inter, system-ui, sans-serif";
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000];
const CLOSED_OPACITY = 0.75;
const OPEN_OPACITY = 0.35;

/**
 * Bars in `element`. Those of open hours, which are not counted to their end, are paler.
 * @param {HTMLElement} element
 * @param {string} property the custom property that has the colour
 * @param {Bar[]} bars
 */
export function hourlyBars(element, property, bars) {
  const times = bars.map((bar) => bar.at / 1000);
  const last = Math.max(...times);
  const first = Math.min(last - MIN_HOURS * HOUR_S, ...times);
  const paths = uPlot.paths.bars?.({ size: [0.7, 28], radius: 0.15 });
  /** @param {boolean} open */
  const values = (open) => bars.map((bar) => (bar.open === open ? bar.value : null));
  return fittedPlot(
    element,
    () => ({
      legend: { show: false },
      cursor: NO_CURSOR,
      padding: [8, 18, 0, 0],
      scales: { x: { range: [first - HOUR_S / 2, last + HOUR_S / 2] }, y: { range: fromZero(4) } },
      axes: [
        axis({ grid: { show: false }, space: 70, size: 30, values: (_, splits) => splits.map(tick) }),
        axis({ size: 44, incrs: STEPS }),
      ],
      series: [
        {},
        ...[CLOSED_OPACITY, OPEN_OPACITY].map((opacity) => ({
          stroke: colour(property),
          fill: faint(colour(property), opacity),
          width: 0,
          paths,
          points: { show: false },
        })),
      ],
    }),
    [times, values(false), values(true)],
  );
}

/**
 * @param {Axis} more
 * @returns {Axis}
 */
function axis(more) {
  return {
    stroke: colour("--quiet"),
    font: FONT,
    ticks: { show: false },
    grid: { stroke: colour("--line"), width: 1 },
    ...more,
  };
}

/**
 * What the axis says of a moment: the time of day, and the date where a day begins.
 * @param {number} seconds since 1970
 */
function tick(seconds) {
  const at = new Date(seconds * 1000);
  return at.getHours() || at.getMinutes() ? formatTime(at) : formatDate(at);
}
