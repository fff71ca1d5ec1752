// Plays, likes and uploads a second, beside a chart.
import { h, setText } from "../dom.js";
import { formatRate } from "../format.js";
import { sparkline } from "../plots/sparkline.js";

/** @import { EventKinds, Live } from "../types.d.ts" */
/** @import { Sparkline } from "../plots/sparkline.js" */

/** @type {{ name: string, colour: string, of: (kinds: EventKinds) => number }[]} */
const RATES = [
  { name: "Plays", colour: "--plays", of: (kinds) => kinds.played },
  { name: "Likes", colour: "--likes", of: (kinds) => kinds.liked },
  { name: "Uploads", colour: "--uploads", of: (kinds) => kinds.uploaded },
];

export function rates() {
  const rows = RATES.map((one) => rateRow(one.name, one.colour, one.of));
  const note = h("p", { class: "quiet small" });
  note.hidden = true;
  const list = h(
    "dl",
    { class: "rates" },
    rows.map((row) => row.element),
  );
  return {
    element: h("section", {}, h("h2", {}, "Right now"), list, note),
    /** @param {Live} live */
    onLive({ kinds }) {
      for (const row of rows) row.update(kinds);
      note.hidden = kinds != null && !kinds.sampled;
      setText(
        note,
        kinds ? "There are more events than are read: the split is estimated from a sample." : "No rates yet.",
      );
    },
    onLeave() {
      for (const row of rows) row.destroy();
    },
  };
}

/**
 * @param {string} name
 * @param {string} colour a custom property
 * @param {(kinds: EventKinds) => number} of
 */
function rateRow(name, colour, of) {
  const figure = h("dd", {}, "–");
  const line = h("div", { class: "spark", "aria-hidden": "true" });
  const unit = [h("span", { class: "wide" }, " a second"), h("span", { class: "narrow" }, "/s")];
  const element = h("div", { class: "rate" }, h("dt", {}, h("span", {}, name, ...unit)), figure, line);
  element.style.setProperty("--colour", `var(${colour})`);
  /** @type {Sparkline | null} */
  let plot = null;
  return {
    element,
    /** @param {EventKinds | null} kinds */
    update(kinds) {
      // A plot must be on the page to know its width.
      plot ??= sparkline(line, colour);
      setText(figure, kinds ? formatRate(of(kinds)) : "–");
      plot.add(kinds ? of(kinds) : null);
    },
    destroy() {
      plot?.destroy();
    },
  };
}
