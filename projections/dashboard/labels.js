// What things are called on the page, in one place.
export const KINDS = { top: "Top", trending: "Trending" };
export const WINDOWS = { "5m": "5 min", "1h": "Hour", "24h": "Day", "7d": "Week" };
export const SPANS = { "5m": "five minutes", "1h": "hour", "24h": "24 hours", "7d": "seven days" };
export const PROJECTIONS = { charts: "Charts", catalog: "Songs", library: "Libraries" };
export const STATES = {
  received: "Received",
  queued: "Queued",
  processing: "In work",
  ready: "Ready",
  rejected: "Rejected",
  dead: "Dead",
};
export const FINAL = ["ready", "rejected", "dead"];

const regions = new Intl.DisplayNames("en", { type: "region" });
export const region = (code) => regions.of(code) ?? code;
export function scopeName(scope) {
  const [kind, value] = scope.split(/:(.*)/s);
  return kind === "region" ? region(value) : kind === "genre" ? value : "the world";
}
