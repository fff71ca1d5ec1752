// A plot by uPlot, in the page's own colours.
import uPlot from "/assets/vendor/uPlot.esm.js";

/** @import { AlignedData, Options } from "uplot" */
/** @import { Plot } from "../types.d.ts" */

const DARK = matchMedia("(prefers-color-scheme: dark)");

/** No cursor: the values of a plot stand beside it, as text. */
export const NO_CURSOR = { drag: { x: false, y: false }, show: false };

/**
 * A custom property as a colour that a canvas takes. An element that has the colour resolves `light-dark()`.
 * @param {string} property
 */
export function colour(property) {
  const probe = document.createElement("i");
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/**
 * A colour of `colour` with some of its opacity.
 * @param {string} rgb
 * @param {number} opacity 0 to 1
 */
export const faint = (rgb, opacity) => rgb.replace(/^rgb\((.*)\)$/, `rgb($1 / ${opacity})`).replaceAll(",", " ");

/**
 * A range from 0 to a tenth above the largest value, and at least to `least`.
 * @param {number} least
 * @returns {(plot: uPlot, min: number, max: number | null) => [number, number]}
 */
export const fromZero = (least) => (_plot, _min, max) => [0, Math.max(least, (max ?? 0) * 1.1)];

/**
 * A plot that has the size of its element and is drawn again when the theme changes.
 * @param {HTMLElement} element
 * @param {() => Omit<Options, "width" | "height">} options made anew for each theme
 * @param {AlignedData} data
 * @returns {Plot}
 */
export function fittedPlot(element, options, data) {
  const size = () => ({ width: element.clientWidth, height: element.clientHeight });
  const draw = () => {
    const { width, height } = size();
    return new uPlot({ ...options(), width: Math.max(40, width), height: Math.max(20, height) }, data, element);
  };
  let plot = draw();
  const redraw = () => {
    plot.destroy();
    plot = draw();
  };
  const resizes = new ResizeObserver(() => plot.setSize(size()));
  resizes.observe(element);
  DARK.addEventListener("change", redraw);
  return {
    setData(changed) {
      data = changed;
      plot.setData(changed);
    },
    destroy() {
      resizes.disconnect();
      DARK.removeEventListener("change", redraw);
      plot.destroy();
    },
  };
}
