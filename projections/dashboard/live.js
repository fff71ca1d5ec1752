// The one stream that the page lives by. It says `live`, `chart` and `state`: waiting, live, or lost.

const SILENCE_MS = 6000; // Something comes every second; so long without anything is a connection that only looks open.

export class Stream extends EventTarget {
  #source = null;
  #asked = "";
  #timer = 0;
  state = "waiting";
  latest = null;
  since = null;

  /** Follows a chart ({kind, window, scope}) beside everything else, or none. */
  follow(chart) {
    const asked = chart ? `?${new URLSearchParams(chart)}` : "";
    if (this.#source && asked === this.#asked) return;
    this.#asked = asked;
    this.#open();
  }

  #open() {
    this.#source?.close();
    const source = new EventSource(`/v1/live${this.#asked}`);
    this.#source = source;
    source.addEventListener("live", (event) => {
      this.latest = JSON.parse(event.data);
      this.since = Date.now();
      this.#is("live");
      this.#watch();
      this.dispatchEvent(new CustomEvent("live", { detail: this.latest }));
    });
    source.addEventListener("chart", (event) => {
      this.dispatchEvent(new CustomEvent("chart", { detail: JSON.parse(event.data) }));
    });
    source.addEventListener("error", () => {
      this.#is("lost");
      // After an answer that is no stream (503) a browser gives up; the page does not.
      if (source.readyState === EventSource.CLOSED) this.#later();
    });
    this.#watch();
  }

  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#is("lost");
      this.#open();
    }, SILENCE_MS);
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), 3000);
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
