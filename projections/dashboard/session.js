// Who uses the page and what they may do. The session is a cookie that no script can read; the API says whose it is.
/** @import { PageSession, Scope } from "./types.d.ts" */

/** @type {PageSession} what is so while the API does not say: everything is shown, and the API decides */
const UNKNOWN = { signIn: false, subject: null, scopes: [], open: [], csrf: null };
const CHANNEL = "songline-session";
const AGAIN_MS = 5000;
const PATIENCE_MS = 10_000;

class Session {
  #current = UNKNOWN;
  #isKnown = false;
  #askedAt = 0;
  /** @type {((session: PageSession) => void)[]} */
  #listeners = [];
  /** @type {BroadcastChannel | null} other tabs of this browser */
  #tabs = null;

  get subject() {
    return this.#current.subject;
  }

  /** Whether the page offers to sign in, to a visitor. */
  get offersSignIn() {
    return this.#current.signIn && this.subject === null;
  }

  /**
   * Whether the user may do what needs this scope. `group` has the operations that need it and may be open.
   * @param {Scope} scope
   * @param {string} [group]
   */
  may(scope, group) {
    const { scopes, open } = this.#current;
    return !this.#isKnown || scopes.includes(scope) || (group !== undefined && open.includes(group));
  }

  /** @param {string} userId */
  mayReadLibraryOf(userId) {
    return this.may("library:read:any") || (this.may("library:read") && userId === this.subject);
  }

  /**
   * What a write has to carry.
   * @returns {Record<string, string>}
   */
  get writeHeaders() {
    return this.#current.csrf === null ? {} : { "X-CSRF-Token": this.#current.csrf };
  }

  /** @param {(session: PageSession) => void} listener called when another user, or none, is signed in */
  onChange(listener) {
    this.#listeners.push(listener);
  }

  /** Asks for the first time, and begins to listen to the other tabs. */
  async begin() {
    await this.#ask();
    if ("BroadcastChannel" in self) {
      this.#tabs = new BroadcastChannel(CHANNEL);
      this.#tabs.addEventListener("message", ({ data }) => {
        if (data !== this.subject) this.refresh(true);
      });
    }
    // This tab may have come back from signing in.
    this.#tell();
    addEventListener("visibilitychange", () => document.hidden || this.refresh());
    addEventListener("pageshow", (event) => event.persisted && this.refresh(true));
  }

  /** Asks again: the session may have ended, or begun in another tab. */
  async refresh(isUrgent = false) {
    if (!isUrgent && Date.now() - this.#askedAt < AGAIN_MS) return;
    const before = this.#current;
    await this.#ask();
    const { subject, scopes, csrf } = this.#current;
    const isSame = subject === before.subject && csrf === before.csrf && String(scopes) === String(before.scopes);
    if (isSame) return;
    for (const listener of this.#listeners) listener(this.#current);
    this.#tell();
  }

  /** Signs out, in all tabs. Throws an Error where the user is still signed in. */
  async signOut() {
    let response;
    try {
      response = await fetch("/v1/session/sign-out", { method: "POST", headers: this.writeHeaders });
    } catch {
      throw new Error("The API can't be reached: you are still signed in.");
    }
    // Where it is refused, this tab has an old session; what is so now is asked for.
    await this.refresh(true);
    if (!response.ok && this.subject !== null) throw new Error("Signing out failed. Try again.");
  }

  async #ask() {
    this.#askedAt = Date.now();
    try {
      const response = await fetch("/v1/session", { signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!response.ok) return;
      this.#current = await response.json();
      this.#isKnown = true;
    } catch {
      // The page says by itself that there is no connection, and keeps what it knows.
    }
  }

  #tell() {
    this.#tabs?.postMessage(this.subject);
  }
}

export const session = new Session();

/** The address that signs in and comes back to the view that is shown. */
export const signInLink = () =>
  `/v1/session/sign-in?${new URLSearchParams({ return: `${location.pathname}${location.hash}` })}`;
