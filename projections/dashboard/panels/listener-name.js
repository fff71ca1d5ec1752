// A listener's id: a link to their library, where the user may read it.
import { h } from "../dom.js";
import { listenerLink } from "../links.js";
import { session } from "../session.js";

/** @param {string} userId */
export function listenerName(userId) {
  return session.mayReadLibraryOf(userId) ? h("a", { href: listenerLink(userId) }, userId) : h("span", {}, userId);
}
