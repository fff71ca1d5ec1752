// Numbers, moments and durations as words.

/** @typedef {string | number | Date} Moment */

const WHOLE = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const HALF_DAY_MS = 43_200_000;

/** @param {number} value */
export const formatNumber = (value) => WHOLE.format(value);

/**
 * A count with its noun: 1 event, 12 events.
 * @param {number} count
 * @param {string} noun
 */
export const formatCount = (count, noun) => `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;

/**
 * A number with at most a few digits: 9,999 and then 10K.
 * @param {number} value
 */
export const formatCompact = (value) => (value < 10_000 ? WHOLE : SHORT).format(value);

/**
 * Events a second.
 * @param {number | null | undefined} value
 */
export function formatRate(value) {
  if (value == null) return "–";
  if (value === 0) return "0";
  return value < 10 ? value.toFixed(1) : formatCompact(Math.round(value));
}

/**
 * The time of day with seconds.
 * @param {Moment} moment
 */
export const formatClock = (moment) =>
  new Date(moment).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** @param {Moment} moment */
export const formatTime = (moment) =>
  new Date(moment).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** @param {Moment} moment */
export const formatDate = (moment) => new Date(moment).toLocaleDateString("en-GB", { day: "numeric", month: "short" });

/** @param {Moment} moment */
export const formatDateTime = (moment) =>
  new Date(moment).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/**
 * The time of day of a moment within twelve hours of now, with its date otherwise.
 * @param {string} moment
 */
export const formatMoment = (moment) =>
  Math.abs(Date.now() - Date.parse(moment)) < HALF_DAY_MS ? formatTime(moment) : formatDateTime(moment);

/**
 * A duration in its largest unit: 4 s, 12 min, 3 h, 5 days.
 * @param {number} seconds
 */
export function formatDuration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/**
 * Milliseconds as a song's length: 3:21.
 * @param {number} ms
 */
export function formatLength(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/**
 * Milliseconds as hours and minutes: 1 h 20 min.
 * @param {number} ms
 */
export function formatHours(ms) {
  const minutes = Math.round(ms / 60_000);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
