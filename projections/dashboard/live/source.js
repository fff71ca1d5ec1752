// The stream of everything that is going on, and of the charts that are followed. It says `live`, `chart` and `state`
// (lost; to be live needs no word of its own) to whoever made it: one tab, or the worker that all tabs share.

const SILENCE_MS = 6000; // Something comes every second; so long without anything is a connection that only looks open.
const AGAIN_MS = 3000;

/** The name of a chart ({kind, window, scope}) in a stream. */
export const named = ({ kind, window, scope }) => `${kind}:${window}:${scope}`;

export class Feed {
  #tell;
  #source = null;
  #names = null;
  #wrong = new Set();
  #timer = 0;
  state = "waiting";
  latest = null;
  charts = new Map();

  constructor(tell) {
    this.#tell = tell;
  }

  /** Follows the charts of these names beside everything else. */
  follow(names) {
    const wanted = [...new Set(names)].sort().join(",");
    if (this.#source && wanted === this.#names) return;
    this.#names = wanted;
    for (const name of this.charts.keys()) if (!names.includes(name)) this.charts.delete(name);
    this.#open();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    const before = this.#source;
    const names = this.#names.split(",").filter((name) => name && !this.#wrong.has(name));
    const source = new EventSource(`/v1/live${names.length ? `?${new URLSearchParams({ charts: names.join(",") })}` : ""}`);
    this.#source = source;
    let opened = false;
    source.addEventListener("live", (event) => {
      // Until then the one before is heard: nothing is missed between the two.
      before?.close();
      if (source !== this.#source) return;
      opened = true;
      this.latest = JSON.parse(event.data);
      this.state = "live";
      this.#watch();
      this.#tell("live", this.latest);
    });
    source.addEventListener("followed", (event) => {
      const { name, chart } = JSON.parse(event.data);
      this.charts.set(name, chart);
      this.#tell("chart", { name, chart });
    });
    source.addEventListener("error", () => {
      before?.close();
      if (source !== this.#source) return;
      this.#lost();
      // After an answer that is no stream (503) a browser gives up; the page does not.
      if (source.readyState === EventSource.CLOSED) this.#later(opened ? [] : names);
    });
    this.#watch();
  }

  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#lost();
      this.#source?.close();
      this.#open();
    }, SILENCE_MS);
  }

  async #later(names) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), AGAIN_MS);
    // One tab that asks for a chart that can't be is not to take the stream from all the others.
    for (const name of names) {
      const [kind, window, scope] = name.split(/:([^:]*):(.*)/s);
      const answer = await fetch(`/v1/charts/${encodeURIComponent(kind)}/${encodeURIComponent(window)}?${new URLSearchParams({ scope, limit: 1 })}`).catch(() => null);
      if (answer && [400, 404].includes(answer.status)) this.#wrong.add(name);
    }
  }

  #lost() {
    if (this.state === "lost") return;
    this.state = "lost";
    this.#tell("state", "lost");
  }
}
