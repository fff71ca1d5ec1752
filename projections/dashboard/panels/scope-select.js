// The choice of a chart's scope: the world, the genres that were seen, and all regions.
import { get } from "../api.js";
import { h } from "../dom.js";
import { regionLabel } from "../labels.js";

/** @import { ChartEntry } from "../types.d.ts" */

/** @type {string[] | null} codes of all regions; null until the API has answered */
let regions = null;
/** @type {Set<string>} genres of all charts that were shown */
const genres = new Set();

/**
 * @param {string} chosen the scope that is shown
 * @param {(scope: string) => void} choose
 */
export function scopeSelect(chosen, choose) {
  const element = h("select", { "aria-label": "Where", onchange: () => choose(element.value) });
  const [kind, value = ""] = chosen.split(/:(.*)/s);
  let shown = "";

  /** @param {ChartEntry[]} entries */
  async function offer(entries = []) {
    for (const { genre } of entries) if (genre) genres.add(genre);
    if (kind === "genre") genres.add(value);
    const offered = `${regions?.length ?? 0} ${genres.size}`;
    if (offered === shown || document.activeElement === element) return;
    shown = offered;
    const codes = regions ?? (kind === "region" ? [value] : []);
    element.replaceChildren(
      option("global", "World"),
      h(
        "optgroup",
        { label: "Genres" },
        [...genres].sort().map((genre) => option(`genre:${genre}`, genre)),
      ),
      h(
        "optgroup",
        { label: "Regions" },
        byLabel(codes).map(({ code, label }) => option(`region:${code}`, label)),
      ),
    );
    element.value = chosen;
    if (regions !== null) return;
    regions = [];
    try {
      regions = (await get("/v1/charts", {})).regions ?? [];
      offer();
    } catch {
      regions = null;
    }
  }

  /**
   * @param {string} scope
   * @param {string} label
   */
  const option = (scope, label) => h("option", { value: scope, selected: scope === chosen }, label);

  offer();
  return { element, offer };
}

/** @param {string[]} codes */
function byLabel(codes) {
  return codes
    .map((code) => ({ code, label: regionLabel(code) }))
    .sort((one, other) => one.label.localeCompare(other.label, "en"));
}
