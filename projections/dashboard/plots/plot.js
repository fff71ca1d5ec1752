// Drawing by uPlot, in the page's own colours.
import uPlot from "/assets/vendor/uPlot.esm.js";
import { date, time } from "../dom.js";

const scheme = matchMedia("(prefers-color-scheme: dark)");
const sides = { drag: { x: false, y: false }, show: false };

/** A custom property as a colour that a canvas takes: `light-dark()` is resolved by an element that has it. */
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
const faint = (rgb, share) => rgb.replace(/^rgb\((.*)\)$/, `rgb($1 / ${share})`).replaceAll(",", " ");

/** A plot in `element` that is as wide as it is, and is drawn anew when the theme changes. */
function fitted(element, options, data) {
  let plot;
  const draw = () => {
    plot?.destroy();
    plot = new uPlot({ ...options(), width: Math.max(40, element.clientWidth), height: Math.max(20, element.clientHeight) }, data, element);
  };
  draw();
  const sized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: element.clientHeight }));
  sized.observe(element);
  scheme.addEventListener("change", draw);
  return {
    show(now) {
      data = now;
      plot.setData(now);
    },
    end() {
      sized.disconnect();
      scheme.removeEventListener("change", draw);
      plot.destroy();
    },
  };
}

/** A line without axes over the last `seconds`, of one value a second. */
export function spark(element, name, seconds = 60) {
  const values = Array(seconds).fill(null);
  const times = values.map((_, place) => place);
  const options = () => ({
    legend: { show: false },
    cursor: sides,
    axes: [{ show: false }, { show: false }],
    padding: [3, 0, 2, 0],
    scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.1)] } },
    series: [{}, { stroke: colour(name), width: 1.75, fill: faint(colour(name), 0.12), points: { show: false } }],
  });
  const plot = fitted(element, options, [times, values]);
  return {
    add(value) {
      values.shift();
      values.push(value);
      plot.show([times, values]);
    },
    end: plot.end,
  };
}

/** Seconds as what an axis says of them: the time of day, and the day where one begins. */
function when(seconds) {
  const at = new Date(seconds * 1000);
  return at.getHours() || at.getMinutes() ? time(at) : date(at);
}

/** Bars over hours. `points`: [{at (ms), value, open}], open ones paler. */
export function hours(element, name, points) {
  const bars = uPlot.paths.bars({ size: [0.7, 28], radius: 0.15 });
  const text = "11px Inter, system-ui, sans-serif";
  const axis = (more) => ({ stroke: colour("--quiet"), font: text, ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 }, ...more });
  const last = Math.max(...points.map((point) => point.at)) / 1000;
  const first = Math.min(last - 12 * 3600, Math.min(...points.map((point) => point.at)) / 1000);
  const options = () => ({
    legend: { show: false },
    cursor: sides,
    padding: [8, 18, 0, 0],
    scales: { x: { range: [first - 1800, last + 1800] }, y: { range: (_, __, most) => [0, Math.max(4, (most ?? 0) * 1.1)] } },
    axes: [axis({ grid: { show: false }, space: 70, size: 30, values: (_, splits) => splits.map(when) }), axis({ size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000] })],
    series: [{}, ...[0.75, 0.35].map((share) => ({ stroke: colour(name), fill: faint(colour(name), share), width: 0, paths: bars, points: { show: false } }))],
  });
  const values = (open) => points.map((point) => (Boolean(point.open) === open ? point.value : null));
  return fitted(element, options, [points.map((point) => point.at / 1000), values(false), values(true)]);
}
