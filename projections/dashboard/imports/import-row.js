// One import of a history. The bar is of bytes that have left; every number after that comes from the API.
import { ApiError, get, problemOf, send } from "../api.js";
import { announce, h, setText } from "../dom.js";
import { formatBytes, formatDateTime, formatNumber } from "../format.js";
import { ENDED_IMPORTS, IMPORT_STATES } from "../labels.js";
import { session } from "../session.js";

/** @import { HistoryImport, ImportState } from "../types.d.ts" */

const POLL_MS = 700;

/** @type {Partial<Record<ImportState, string>>} How the badge of a state looks. */
const LOOKS = { done: "ready", refused: "rejected", failed: "dead" };

export class ImportRow {
  #name;
  #onEnd;
  #left = false;
  #badge = h("span", { class: "badge" }, "Waiting");
  #bar = h("progress", { max: "100", value: "0" });
  #text = h("p", { class: "told" });

  /**
   * @param {string} name of the file
   * @param {() => void} onEnd called when an import, or its taking back, is over
   */
  constructor(name, onEnd) {
    this.#name = name;
    this.#onEnd = onEnd;
    this.#bar.hidden = true;
    this.#bar.setAttribute("aria-label", `Progress of ${name}`);
    const shown = h("span", { class: "name" }, name);
    this.element = h("li", { class: "way sheet" }, shown, this.#badge, this.#bar, this.#text);
  }

  /** Nothing is asked for any more. */
  leave() {
    this.#left = true;
  }

  /**
   * Sends a file and follows its import to the end.
   * @param {File} file
   * @param {Record<string, string>} fields userId, timezone and dryRun
   */
  async send(file, fields) {
    const request = await this.#post(file, fields);
    if (request?.status === 202) return this.follow(JSON.parse(request.responseText).id);
    if (request && [401, 403].includes(request.status)) session.refresh();
    this.#fail(request === null ? "The connection broke before the file was accepted." : problemOf(request));
  }

  /**
   * Shows an import, and follows it while it goes on.
   * @param {HistoryImport} found
   */
  show(found) {
    const { id, state } = found;
    this.#bar.hidden = true;
    this.element.dataset.state = LOOKS[state] ?? "processing";
    this.#badge.dataset.state = LOOKS[state] ?? "processing";
    setText(this.#badge, found.dryRun && state === "done" ? "Dry run" : IMPORT_STATES[state]);
    setText(this.#text, sums(found).join(" \u00b7 "));
    const act = actOf(found);
    if (act) this.#text.append(this.#button(id, act));
    if (!ENDED_IMPORTS.includes(state)) setTimeout(() => this.follow(id), POLL_MS);
  }

  /**
   * Asks for an import until it is over.
   * @param {string} id
   */
  async follow(id) {
    if (this.#left) return;
    try {
      const found = await get("/v1/imports/{import_id}", { import_id: id });
      if (this.#left) return;
      this.show(found);
      if (ENDED_IMPORTS.includes(found.state)) {
        announce(`${this.#name}: ${IMPORT_STATES[found.state]}`);
        this.#onEnd();
      }
    } catch (error) {
      const { status, message } = ApiError.of(error);
      if (status !== 0 && status < 500 && status !== 429) this.#fail(message);
      else setTimeout(() => this.follow(id), POLL_MS);
    }
  }

  /**
   * @param {string} id
   * @param {"undo" | "stop"} act
   */
  #button(id, act) {
    const button = h("button", { class: "button", type: "button", onclick }, act === "undo" ? "Take back" : "Stop");
    /** @type {() => Promise<void>} */
    const run = async () => {
      button.disabled = true;
      try {
        await send("POST", `/v1/imports/{import_id}/${act}`, { import_id: id });
        await this.follow(id);
      } catch (error) {
        this.#text.append(` ${ApiError.of(error).message}`);
        button.disabled = false;
      }
    };
    function onclick() {
      run();
    }
    return button;
  }

  /**
   * The answered request, or null where the connection broke.
   * @param {File} file
   * @param {Record<string, string>} fields
   * @returns {Promise<XMLHttpRequest | null>}
   */
  #post(file, fields) {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", file);
    // Unlike fetch, it tells how many bytes have left.
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      this.#bar.value = total ? (100 * loaded) / total : 0;
      setText(this.#text, `${formatBytes(loaded)} of ${formatBytes(total)}`);
    });
    this.element.dataset.state = "sending";
    this.#bar.hidden = false;
    setText(this.#badge, "Sending");
    return new Promise((resolve) => {
      request.addEventListener("load", () => resolve(request));
      request.addEventListener("error", () => resolve(null));
      request.open("POST", "/v1/imports");
      for (const [name, value] of Object.entries(session.writeHeaders)) request.setRequestHeader(name, value);
      request.send(form);
    });
  }

  /** @param {string} text */
  #fail(text) {
    this.#bar.hidden = true;
    this.element.dataset.state = "failed";
    this.#badge.dataset.state = "failed";
    setText(this.#badge, "Not accepted");
    setText(this.#text, text);
    announce(`${this.#name}: not accepted`);
  }
}

/**
 * What can be done with an import as it is.
 * @param {HistoryImport} found
 * @returns {"undo" | "stop" | null}
 */
function actOf({ state, dryRun }) {
  if (state === "queued" || state === "running") return "stop";
  return !dryRun && ["done", "stopped", "failed"].includes(state) ? "undo" : null;
}

/**
 * The sums of an import, which add up: what was read is taken, known and skipped; what was taken is matched or by name.
 * @param {HistoryImport} found
 */
export function sums({ state, reason, counts, receivedAt, dryRun }) {
  const { read = 0, taken = 0, known = 0, matched = 0, byName = 0, skipped = {} } = counts;
  const reasons = Object.entries(skipped).map(([why, count]) => `${formatNumber(count)} ${why}`);
  const passedOver = Object.values(skipped).reduce((sum, count) => sum + count, 0);
  const lines = [formatDateTime(receivedAt)];
  if (reason) lines.push(reason);
  if (state === "queued") return lines;
  const would = dryRun ? "would be taken" : "taken";
  lines.push(
    `${formatNumber(read)} read: ${formatNumber(taken)} ${would}, ${formatNumber(known)} already known, ` +
      `${formatNumber(passedOver)} skipped`,
  );
  if (taken) lines.push(`${formatNumber(matched)} matched, ${formatNumber(byName)} by name only`);
  if (reasons.length) lines.push(`skipped: ${reasons.join(", ")}`);
  return lines;
}
