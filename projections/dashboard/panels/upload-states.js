// How many uploads are in each state.
import { h, setAttribute, setText } from "../dom.js";
import { formatDuration, formatNumber } from "../format.js";
import { STATES } from "../labels.js";

/** @import { Live } from "../types.d.ts" */

/** @param {() => void} onChange called when a count differs from the one before */
export function uploadStates(onChange) {
  const tiles = Object.entries(STATES).map(([state, label]) => {
    const count = h("dd", {}, "–");
    return { state, count, element: h("div", { "data-upload": state }, h("dt", {}, label), count) };
  });
  const list = h(
    "dl",
    { class: "tiles" },
    tiles.map((tile) => tile.element),
  );
  const waiting = h("p", { class: "quiet small" });
  let before = "";
  return {
    element: h("section", {}, h("h2", {}, "Uploads by state"), list, waiting),
    /** @param {Live} live */
    onLive({ uploads, asOf }) {
      const counts = uploads?.states ?? {};
      for (const { state, count, element } of tiles) {
        const found = counts[state];
        setText(count, found === undefined ? "–" : formatNumber(found));
        setAttribute(element, "data-alarm", state === "dead" && found ? "true" : null);
      }
      setText(waiting, uploads?.waitingSince ? waitingText(uploads.waitingSince, asOf) : "");
      const now = JSON.stringify(counts);
      if (before && now !== before) onChange();
      before = now;
    },
  };
}

/**
 * @param {string} since
 * @param {string} asOf
 */
function waitingText(since, asOf) {
  const seconds = (Date.parse(asOf) - Date.parse(since)) / 1000;
  return `The oldest unfinished upload has not changed state for ${formatDuration(seconds)}.`;
}
