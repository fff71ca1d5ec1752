// What one tab gets of `/v1/live`: through the worker that all tabs share, or by a stream of its own.
import { chartName, LiveSource } from "./source.js";

/** @import { Chart, ChartKey, ConnectionState, Live, TabMessage, WorkerRequest } from "../types.d.ts" */

/**
 * @typedef {object} LiveListener
 * @property {(live: Live) => void} onLive
 * @property {(chart: Chart | null) => void} onChart
 * @property {(state: ConnectionState) => void} onState
 */

/** @typedef {{ follow(name: string | null): void, changeUser(user: string | null): void }} Transport */

const SIGN_OF_LIFE_MS = 20_000;

export class LiveStream {
  #listener;
  /** @type {Transport} */
  #transport;
  /** @type {string | null} */
  #name = null;
  /** @type {ConnectionState} */
  state = "waiting";
  /** @type {Live | null} */
  latest = null;
  /** @type {number | null} when `latest` came, in milliseconds since 1970 */
  receivedAt = null;

  /** @param {LiveListener} listener */
  constructor(listener) {
    this.#listener = listener;
    this.#transport = "SharedWorker" in self ? this.#shared() : this.#own();
  }

  /**
   * Follows a chart beside everything else, or none.
   * @param {ChartKey | null} chart
   */
  follow(chart) {
    this.#name = chart && chartName(chart);
    this.#transport.follow(this.#name);
  }

  /**
   * Tells who is signed in: what another user may see comes by another stream.
   * @param {string | null} user
   */
  changeUser(user) {
    this.#transport.changeUser(user);
  }

  /**
   * One stream for all tabs of this browser.
   * @returns {Transport}
   */
  #shared() {
    let worker;
    try {
      worker = new SharedWorker("/assets/live/worker.js", { type: "module", name: "songline" });
    } catch {
      return this.#own();
    }
    const { port } = worker;
    /** @param {WorkerRequest} request */
    const send = (request) => port.postMessage(request);
    port.addEventListener("message", ({ data }) => this.#receive(data));
    port.start();
    worker.addEventListener("error", () => {
      // The browser has shared workers and could not load this one.
      this.#transport = this.#own();
      this.#transport.follow(this.#name);
    });
    /** @type {Transport} */
    const transport = { follow: (name) => send({ follow: name }), changeUser: (user) => send({ user }) };
    setInterval(() => this.#transport === transport && send({ here: true }), SIGN_OF_LIFE_MS);
    addEventListener("pagehide", () => send({ bye: true }));
    addEventListener("pageshow", (event) => event.persisted && this.#transport.follow(this.#name));
    return transport;
  }

  /**
   * A stream of this tab's own, while the tab is visible.
   * @returns {Transport}
   */
  #own() {
    const source = new LiveSource((message) =>
      this.#receive(message.type === "chart" ? { type: "chart", detail: message.detail.chart } : message),
    );
    const follow = () => (document.hidden ? source.stop() : source.follow(this.#name ? [this.#name] : []));
    addEventListener("visibilitychange", follow);
    return { follow, changeUser: () => source.reopen() };
  }

  /** @param {TabMessage} message */
  #receive(message) {
    if (message.type === "live") {
      this.latest = message.detail;
      this.receivedAt = Date.now();
      this.#enter("live");
      this.#listener.onLive(message.detail);
    } else if (message.type === "chart") this.#listener.onChart(message.detail);
    else this.#enter(message.detail);
  }

  /** @param {ConnectionState} state */
  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.#listener.onState(state);
  }
}
