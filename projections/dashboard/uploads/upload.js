// One file on its way. The bar is of bytes that have left; every word after that comes from the API.
import { ApiError, getJson, problemOf } from "../api.js";
import { announce, h, setText } from "../dom.js";
import { formatBytes } from "../format.js";
import { FINAL_STATES, STATES } from "../labels.js";
import { songLink } from "../links.js";
import { session } from "../session.js";
import { inSlot } from "./slots.js";

/** @import { Ingestion, IngestionState, PostAnswers } from "../types.d.ts" */

const POLL_MS = 700;
const KEY_BYTES = 16;
const RETRIABLE = [401, 403, 408, 429, 503];
/** @type {Partial<Record<IngestionState, string>>} */
const EXPLANATIONS = { queued: "Accepted: it can't be lost any more", processing: "Checked and stored" };

export class Upload {
  #file;
  #userId;
  #retry;
  // Every try has the same key, so what was accepted is not accepted again.
  #key = randomHex(KEY_BYTES);
  #badge = h("span", { class: "badge" }, "Waiting");
  #bar = h("progress", { max: "100", value: "0" });
  #text = h("p", { class: "told" });

  /**
   * @param {File} file
   * @param {string} userId
   * @param {(upload: Upload) => void} retry called when somebody asks for another try
   */
  constructor(file, userId, retry) {
    this.#file = file;
    this.#userId = userId;
    this.#retry = retry;
    this.#bar.setAttribute("aria-label", `Progress of ${file.name}`);
    const name = h("span", { class: "name" }, file.name);
    this.element = h("li", { class: "way sheet" }, name, this.#badge, this.#bar, this.#text);
  }

  /** Returns when nothing more happens to it by itself: the song's id where it became a song, else null. */
  async send() {
    const request = await inSlot(() => this.#post());
    if (request?.status === 202) return this.#follow(JSON.parse(request.responseText));
    // The session may have ended meanwhile, which the page shows then.
    if (request && [401, 403].includes(request.status)) session.refresh();
    if (request === null) this.#fail("The connection broke before the upload was accepted.", true);
    else this.#fail(problemOf(request), RETRIABLE.includes(request.status));
    return null;
  }

  /**
   * The answered request, or null where the connection broke.
   * @returns {Promise<XMLHttpRequest | null>}
   */
  #post() {
    const form = new FormData();
    form.append("userId", this.#userId);
    form.append("file", this.#file);
    // Unlike fetch, it tells how many bytes have left.
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", ({ loaded, total }) => this.#showProgress(loaded, total));
    this.#show("sending", "Sending", `0 of ${formatBytes(this.#file.size)}`);
    return new Promise((resolve) => {
      request.addEventListener("load", () => resolve(request));
      request.addEventListener("error", () => resolve(null));
      request.open("POST", "/v1/songs");
      request.setRequestHeader("Idempotency-Key", this.#key);
      for (const [name, value] of Object.entries(session.writeHeaders)) request.setRequestHeader(name, value);
      request.send(form);
    });
  }

  /**
   * @param {number} loaded
   * @param {number} total
   */
  #showProgress(loaded, total) {
    const share = total ? loaded / total : 0;
    const sent = `${formatBytes(loaded)} of ${formatBytes(total)}`;
    this.#bar.value = share * 100;
    if (share < 1) this.#show("sending", "Sending", sent);
    else this.#show("sending", "Sent", `${sent}, waiting to be accepted`);
  }

  /**
   * Polls the state of the ingestion. A stream would take one of the few connections that a browser has.
   * @param {PostAnswers["/v1/songs"]} accepted
   */
  async #follow({ id, href }) {
    this.#bar.value = 100;
    this.#show("queued", STATES.queued, EXPLANATIONS.queued ?? "");
    for (;;) {
      try {
        /** @type {Ingestion} */
        const { state, reason, history } = await getJson(href);
        if (state === "ready") this.#showReady(id, history.at(-1)?.note ?? "");
        else if (state !== "received") this.#show(state, STATES[state], reason?.text ?? EXPLANATIONS[state] ?? "");
        if (FINAL_STATES.includes(state)) {
          announce(`${this.#file.name}: ${STATES[state]}`);
          return state === "ready" ? id : null;
        }
      } catch (error) {
        if (ApiError.of(error).status === 404) return null;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /**
   * @param {string} songId
   * @param {string} note what is odd about its file
   */
  #showReady(songId, note) {
    this.#show("ready", STATES.ready, "");
    this.#text.replaceChildren(h("a", { href: songLink(songId) }, "Go to the song"), note && ` ${note}`);
  }

  /**
   * @param {string} text
   * @param {boolean} canRetry
   */
  #fail(text, canRetry) {
    this.#show("failed", "Not accepted", text);
    announce(`${this.#file.name}: not accepted`);
    if (!canRetry) return;
    const onclick = () => {
      this.#show("waiting", "Waiting", "");
      this.#retry(this);
    };
    this.#text.append(h("button", { class: "button", type: "button", onclick }, "Try again"));
  }

  /**
   * @param {IngestionState | "waiting" | "sending" | "failed"} state
   * @param {string} label
   * @param {string} text
   */
  #show(state, label, text) {
    this.element.dataset.state = state;
    this.#bar.hidden = [...FINAL_STATES, "failed"].includes(state);
    this.#badge.dataset.state = state;
    setText(this.#badge, label);
    setText(this.#text, text);
  }
}

/** @param {number} bytes */
function randomHex(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
