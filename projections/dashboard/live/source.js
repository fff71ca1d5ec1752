// The event stream `/v1/live`, opened again whenever it is lost. One tab has one, or the worker that all tabs share.

/** @import { Chart, ChartKey, ConnectionState, Followed, Live, LiveMessage } from "../types.d.ts" */

// The API sends something every second. After this long without anything the connection only looks open.
const MAX_SILENCE_MS = 6000;
const RETRY_MS = 3000;

/**
 * The name of a chart in the stream.
 * @param {ChartKey} chart
 */
export const chartName = ({ kind, window, scope }) => `${kind}:${window}:${scope}`;

export class LiveSource {
  #emit;
  /** @type {EventSource | null} */
  #source = null;
  #names = "";
  /** @type {Set<string>} names that the API refuses */
  #invalid = new Set();
  /** @type {number | undefined} */
  #timer;
  /** @type {ConnectionState} */
  state = "waiting";
  /** @type {Live | null} */
  latest = null;
  /** @type {Map<string, Chart | null>} the followed charts by name */
  charts = new Map();

  /** @param {(message: LiveMessage) => void} emit */
  constructor(emit) {
    this.#emit = emit;
  }

  /**
   * Follows the charts of these names, and opens the stream where it is closed.
   * @param {string[]} names
   */
  follow(names) {
    const wanted = [...new Set(names)].sort().join(",");
    if (this.#source && wanted === this.#names) return;
    this.#names = wanted;
    for (const name of this.charts.keys()) if (!names.includes(name)) this.charts.delete(name);
    this.#open();
  }

  /** Opens the stream again, as another user. */
  reopen() {
    if (this.#source === null) return;
    this.stop();
    this.#open();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    const before = this.#source;
    const names = this.#names.split(",").filter((name) => name && !this.#invalid.has(name));
    const query = names.length ? `?${new URLSearchParams({ charts: names.join(",") })}` : "";
    const source = new EventSource(`/v1/live${query}`);
    this.#source = source;
    let opened = false;
    source.addEventListener("live", (event) => {
      // The stream before this one is read until now, so that nothing is missed between the two.
      before?.close();
      if (source !== this.#source) return;
      opened = true;
      /** @type {Live} */
      const live = JSON.parse(event.data);
      this.latest = live;
      this.state = "live";
      this.#expectMore();
      this.#emit({ type: "live", detail: live });
    });
    source.addEventListener("followed", (event) => {
      /** @type {Followed} */
      const followed = JSON.parse(event.data);
      this.charts.set(followed.name, followed.chart);
      this.#emit({ type: "chart", detail: followed });
    });
    source.addEventListener("error", () => {
      before?.close();
      if (source !== this.#source) return;
      this.#reportLoss();
      // A browser gives up after an answer that is no stream (503); the page does not.
      if (source.readyState === EventSource.CLOSED) this.#reopenLater(opened ? [] : names);
    });
    this.#expectMore();
  }

  #expectMore() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#reportLoss();
      this.#source?.close();
      this.#open();
    }, MAX_SILENCE_MS);
  }

  /** @param {string[]} names the charts that the stream was asked for when it was refused */
  async #reopenLater(names) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), RETRY_MS);
    // A tab that asks for an invalid chart must not take the stream from all others.
    for (const name of names) if (await isRefused(name)) this.#invalid.add(name);
  }

  #reportLoss() {
    if (this.state === "lost") return;
    this.state = "lost";
    this.#emit({ type: "state", detail: "lost" });
  }
}

/**
 * Whether the API answers that there can be no such chart.
 * @param {string} name
 */
async function isRefused(name) {
  const [kind = "", window = "", scope = ""] = name.split(/:([^:]*):(.*)/s);
  const query = new URLSearchParams({ scope, limit: "1" });
  const address = `/v1/charts/${encodeURIComponent(kind)}/${encodeURIComponent(window)}?${query}`;
  const response = await fetch(address).catch(() => null);
  return response !== null && [400, 404].includes(response.status);
}
