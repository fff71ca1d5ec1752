// Plays, likes and uploads a second, and how fresh each projection is: what stands beside a chart.
import { h, many, mark, rate, span, tell } from "../dom.js";
import { spark } from "../plots/plot.js";
import { PROJECTIONS } from "../labels.js";

const SHOWN = [
  ["Plays", "--plays", (kinds) => kinds.played],
  ["Likes", "--likes", (kinds) => kinds.liked],
  ["Uploads", "--uploads", (kinds) => kinds.uploaded],
];

export function rates() {
  const parts = SHOWN.map(([name, colour, of]) => {
    const figure = h("dd", {}, "–");
    const line = h("div", { class: "spark", "aria-hidden": "true" });
    const row = h("div", { class: "rate" }, h("dt", {}, h("span", {}, name, h("span", { class: "wide" }, " a second"), h("span", { class: "narrow" }, "/s"))), figure, line);
    row.style.setProperty("--colour", `var(${colour})`);
    return { colour, of, figure, line, row, plot: null };
  });
  const note = h("p", { class: "quiet small" });
  note.hidden = true;
  const element = h("section", {}, h("h2", {}, "Right now"), h("dl", { class: "rates" }, ...parts.map((part) => part.row)), note);
  return {
    element,
    live({ kinds }) {
      for (const part of parts) {
        // A plot needs its place on the page to know how wide it is.
        part.plot ??= spark(part.line, part.colour);
        tell(part.figure, kinds ? rate(part.of(kinds)) : "–");
        part.plot.add(kinds ? part.of(kinds) : null);
      }
      note.hidden = kinds != null && !kinds.sampled;
      tell(note, kinds ? "More than is read here: the split is that of a sample." : "No rates yet.");
    },
    leave() {
      for (const part of parts) part.plot?.end();
    },
  };
}

export function freshness() {
  const list = h("dl", { class: "facts" });
  return {
    element: h("section", { class: "fresh" }, h("h2", {}, "Freshness"), list),
    live({ projections }) {
      projections.forEach((one, place) => {
        const row = list.children[place] ?? list.appendChild(h("div", {}, h("dt", {}, h("span", { class: "dot", "aria-hidden": "true" }), h("span")), h("dd")));
        mark(row.firstChild, "data-state", one.freshness);
        mark(row, "data-state", one.freshness);
        tell(row.firstChild.lastChild, PROJECTIONS[one.name] ?? one.name);
        tell(row.lastChild, words(one));
      });
    },
  };
}

/** How far a projection is, in words. */
export function words(one) {
  if (one.freshness === "unknown") return "not known";
  const behind = one.lag ? `, ${many(one.lag, "event")} behind` : "";
  return `${one.freshness === "stale" ? "stale: " : ""}${span(one.age)} old${behind}`;
}
