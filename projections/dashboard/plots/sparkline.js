// A line without axes: one value a second over the last minute.
import { colour, faint, fittedPlot, fromZero, NO_CURSOR } from "./plot.js";

const SECONDS = 60;

/** @typedef {{ add(value: number | null): void, destroy(): void }} Sparkline */

/**
 * @param {HTMLElement} element
 * @param {string} property the custom property that has the colour
 * @returns {Sparkline}
 */
export function sparkline(element, property) {
  /** @type {(number | null)[]} */
  const values = Array(SECONDS).fill(null);
  const times = values.map((_, place) => place);
  const plot = fittedPlot(
    element,
    () => ({
      legend: { show: false },
      cursor: NO_CURSOR,
      axes: [{ show: false }, { show: false }],
      padding: [3, 0, 2, 0],
      scales: { x: { time: false }, y: { range: fromZero(1) } },
      series: [
        {},
        { stroke: colour(property), width: 1.75, fill: faint(colour(property), 0.12), points: { show: false } },
      ],
    }),
    [times, values],
  );
  return {
    add(value) {
      values.shift();
      values.push(value);
      plot.setData([times, values]);
    },
    destroy: plot.destroy,
  };
}
