// The one stream that the page lives by. It says `live`, `chart` and `state`: waiting, live, or lost.
import { Feed, named } from "./source.js";

const HERE_MS = 20_000;

export class Stream extends EventTarget {
  #way;
  #name = null;
  state = "waiting";
  latest = null;
  since = null;

  constructor() {
    super();
    this.#way = "SharedWorker" in self ? this.#shared() : this.#own();
  }

  /** Follows a chart ({kind, window, scope}) beside everything else, or none. */
  follow(chart) {
    this.#name = chart && named(chart);
    this.#way.follow(this.#name);
  }

  /** One stream for all tabs of this browser. */
  #shared() {
    let worker;
    try {
      worker = new SharedWorker("/assets/live/worker.js", { type: "module", name: "songline" });
    } catch {
      return this.#own();
    }
    const { port } = worker;
    const say = (data) => port.postMessage(data);
    port.addEventListener("message", ({ data }) => this.#hear(data.type, data.detail));
    port.start();
    worker.addEventListener("error", () => {
      // It can't be had after all.
      this.#way = this.#own();
      this.#way.follow(this.#name);
    });
    const way = { follow: (name) => say({ follow: name }) };
    setInterval(() => this.#way === way && say({ here: true }), HERE_MS);
    addEventListener("pagehide", () => say({ bye: true }));
    addEventListener("pageshow", (event) => event.persisted && this.#way.follow(this.#name));
    return way;
  }

  /** A stream of this tab's own, while somebody sees it. */
  #own() {
    const feed = new Feed((type, detail) => this.#hear(type, type === "chart" ? detail.chart : detail));
    const go = () => (document.hidden ? feed.stop() : feed.follow(this.#name ? [this.#name] : []));
    addEventListener("visibilitychange", go);
    return { follow: go };
  }

  #hear(type, detail) {
    if (type === "live") {
      this.latest = detail;
      this.since = Date.now();
      this.#is("live");
    }
    if (type === "state") this.#is(detail);
    else this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #is(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}

/** JSON of the API. Throws an Error with the problem's own words, its `status`, and `problem`. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  } catch {
    throw Object.assign(new Error("The API can't be reached."), { status: 0 });
  }
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
  throw Object.assign(new Error(problem.detail), { status: answer.status, problem });
}
