// Songs in by drag and drop: how much of a file has left, and then what the system itself says of it.
import { bytes, h, say, tell } from "../dom.js";
import { ask } from "../live/stream.js";
import { FINAL, STATES } from "../labels.js";

// A browser opens six connections to a host; the page's own stream and its questions need some.
const AT_A_TIME = 2;
const PLACES = ["songline-upload-1", "songline-upload-2"];
const ASK_MS = 700;
const USER = "songline.user";
const WORDS = { queued: "Accepted: it can't be lost any more", processing: "Looked at and stored" };

export function uploads(done = () => {}) {
  const waiting = [];
  let running = 0;
  const list = h("ul", { class: "ways" });
  const user = h("input", { type: "text", id: "uploader", maxlength: "128", value: recall(), autocomplete: "username", spellcheck: "false" });
  const input = h("input", {
    type: "file",
    id: "files",
    multiple: true,
    accept: "audio/*,.flac,.opus,.m4a,.aiff",
    onchange: () => {
      take(input.files);
      input.value = "";
    },
  });
  const drop = h(
    "div",
    {
      class: "drop",
      ondragover: (event) => {
        event.preventDefault();
        drop.classList.add("over");
      },
      ondragleave: () => drop.classList.remove("over"),
      ondrop: (event) => {
        event.preventDefault();
        drop.classList.remove("over");
        take(event.dataTransfer.files);
      },
    },
    h("div", { class: "words" }, h("strong", {}, "Drop songs here"), h("p", { class: "quiet small" }, "MP3, FLAC, Ogg, Opus, M4A, WAV or AIFF, up to 500 MB each")),
    h("label", { class: "field", for: "uploader" }, "Upload as", user),
    h("div", { class: "choose" }, input, h("label", { class: "button main", for: "files" }, "Choose files")),
  );

  function take(files) {
    for (const file of files) {
      const way = new Way(file, user.value.trim() || "me", queue);
      list.prepend(way.element);
      queue(way);
    }
    remember(user.value.trim());
  }
  function queue(way) {
    waiting.push(way);
    start();
  }
  function start() {
    while (running < AT_A_TIME && waiting.length) {
      running += 1;
      waiting.shift().send().then((id) => {
        running -= 1;
        if (id) done(id);
        start();
      });
    }
  }
  return h("section", { "aria-label": "Upload" }, drop, list);
}

/** One file on its way. The bar is of bytes that have left; every word after that comes from the system. */
class Way {
  #file;
  #user;
  #queue;
  // The same key for every try: what came in already does not come in twice.
  #key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  #state = h("span", { class: "badge" }, "Waiting");
  #bar = h("progress", { max: "100", value: "0" });
  #told = h("p", { class: "told" });

  constructor(file, user, queue) {
    this.#file = file;
    this.#user = user;
    this.#queue = queue;
    this.#bar.setAttribute("aria-label", `Sent of ${file.name}`);
    this.element = h("li", { class: "way sheet" }, h("span", { class: "name" }, file.name), this.#state, this.#bar, this.#told);
  }

  /** Resolves when nothing more will happen to it by itself: with the song's id where it has become one. */
  async send() {
    const request = await placed(() => this.#sent());
    if (request?.status === 202) return this.#followed(JSON.parse(request.responseText));
    if (request === null) this.#failed("The connection broke before it was accepted.", true);
    else this.#refused(request);
    return null;
  }

  #sent() {
    const form = new FormData();
    form.append("userId", this.#user);
    form.append("file", this.#file);
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (event) => {
      const share = event.total ? event.loaded / event.total : 0;
      this.#bar.value = share * 100;
      this.#is("sending", share < 1 ? "Sending" : "Sent", `${bytes(event.loaded)} of ${bytes(event.total)}${share < 1 ? "" : ", waiting to be accepted"}`);
    });
    this.#is("sending", "Sending", `0 of ${bytes(this.#file.size)}`);
    return new Promise((resolve) => {
      request.addEventListener("load", () => resolve(request));
      request.addEventListener("error", () => resolve(null));
      request.open("POST", "/v1/songs");
      request.setRequestHeader("Idempotency-Key", this.#key);
      request.send(form);
    });
  }

  /** Asked now and then, not by a stream: streams would take the few connections that a browser has. */
  async #followed({ id, href }) {
    this.#bar.value = 100;
    this.#is("queued", STATES.queued, WORDS.queued);
    for (;;) {
      const found = await ask(href).catch((error) => ({ gone: error.status === 404 }));
      if (found.gone) return null;
      const { state, reason } = found;
      if (state === "ready") this.#ready(id);
      else if (state && state !== "received") this.#is(state, STATES[state], reason?.text ?? WORDS[state] ?? "");
      if (FINAL.includes(state)) {
        say(`${this.#file.name}: ${STATES[state]}`);
        return state === "ready" ? id : null;
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
  }

  #ready(id) {
    this.#is("ready", STATES.ready, "");
    this.#told.replaceChildren(h("a", { href: `#/songs/${encodeURIComponent(id)}` }, "Go to the song"));
  }

  #refused(request) {
    let problem = {};
    try {
      problem = JSON.parse(request.responseText);
    } catch {
      // Not ours: a proxy's page.
    }
    this.#failed(problem.detail ?? `The answer was ${request.status}.`, request.status === 503 || request.status === 408);
  }

  #failed(text, again) {
    this.#is("failed", "Not accepted", text);
    say(`${this.#file.name}: not accepted`);
    if (!again) return;
    const retry = () => {
      this.#is("waiting", "Waiting", "");
      this.#queue(this);
    };
    this.#told.append(h("button", { class: "button", type: "button", onclick: retry }, "Try again"));
  }

  #is(state, name, text) {
    this.element.dataset.state = state;
    this.#bar.hidden = FINAL.includes(state) || state === "failed";
    this.#state.dataset.state = state;
    tell(this.#state, name);
    tell(this.#told, text);
  }
}

/** Does the work once one of the places is free that all tabs of this browser share, where it can share them. */
async function placed(work) {
  const { locks } = navigator;
  if (!locks) return work();
  for (const name of PLACES) {
    const done = await locks.request(name, { ifAvailable: true }, async (lock) => lock && { result: await work() });
    if (done) return done.result;
  }
  return locks.request(PLACES[Math.floor(Math.random() * PLACES.length)], work);
}

function recall() {
  try {
    return localStorage.getItem(USER) ?? "me";
  } catch {
    return "me";
  }
}
function remember(user) {
  try {
    localStorage.setItem(USER, user);
  } catch {
    // A browser that keeps nothing asks again.
  }
}
