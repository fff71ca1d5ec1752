// The sign in the header: no connection, something that can't be read, a projection that is stale, or all well.
import { announce, h, setText } from "../dom.js";
import { formatClock, formatDuration } from "../format.js";
import { projectionLabel } from "../labels.js";

/** @import { ConnectionState, Live } from "../types.d.ts" */

/** @typedef {{ state: ConnectionState, latest: Live | null, receivedAt: number | null }} Connection */

/**
 * What the sign says, and the sentence below the header that explains it, "" for none.
 * @typedef {{ state: ConnectionState | "unknown" | "stale", sign: string, explanation: string }} Status
 */

/** @param {HTMLElement} notice where the explanation stands */
export function statusSign(notice) {
  const text = h("span", { id: "pulse-text" }, "connecting");
  const dot = h("span", { class: "dot", "aria-hidden": "true" });
  const element = h("p", { class: "pulse", id: "pulse", "data-state": "waiting" }, dot, text);
  notice.hidden = true;
  return {
    element,
    /** @param {Connection} connection */
    update(connection) {
      const { state, sign, explanation } = statusOf(connection);
      setText(text, sign);
      setText(notice, explanation);
      notice.hidden = !explanation;
      if (element.dataset.state === state) return;
      element.dataset.state = state;
      document.body.dataset.stream = state;
      if (state !== "waiting") announce(explanation || `${sign.charAt(0).toUpperCase()}${sign.slice(1)}.`);
    },
  };
}

/**
 * @param {Connection} connection
 * @returns {Status}
 */
function statusOf({ state, latest, receivedAt }) {
  if (state === "lost") return lostStatus(receivedAt);
  if (state === "waiting" || latest === null) return { state: "waiting", sign: "connecting", explanation: "" };
  if (latest.troubles.length) {
    return { state: "unknown", sign: "partly unknown", explanation: latest.troubles.join(" ") };
  }
  const stale = latest.projections.filter((projection) => projection.freshness === "stale");
  if (!stale.length) return { state: "live", sign: "live", explanation: "" };
  const names = stale.map((projection) => projectionLabel(projection.name)).join(", ");
  const reasons = latest.projections.flatMap((projection) => projection.notReady ?? []).join(" ");
  return { state: "stale", sign: `stale: ${names.toLowerCase()}`, explanation: reasons };
}

/**
 * @param {number | null} receivedAt
 * @returns {Status}
 */
function lostStatus(receivedAt) {
  const ago = receivedAt === null ? null : formatDuration((Date.now() - receivedAt) / 1000);
  const sign = ago === null ? "no connection" : `connection lost ${ago} ago`;
  const rest =
    receivedAt === null ? "There is nothing to show yet." : `This page is as it was at ${formatClock(receivedAt)}.`;
  return { state: "lost", sign, explanation: `The connection is lost. ${rest} The page reconnects by itself.` };
}
