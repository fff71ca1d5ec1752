// Who is signed in, in the header: the way in, or the name and the way out.
import { announce, emptyState, h } from "../dom.js";
import { listenerLink } from "../links.js";
import { session, signInLink } from "../session.js";

export function account() {
  const element = h("div", { class: "account" });

  function update() {
    element.replaceChildren(...(session.offersSignIn ? [signInButton()] : signedIn(session.subject)));
    element.hidden = !element.children.length;
  }
  update();
  return { element, update };
}

function signInButton() {
  const link = h("a", { class: "button", href: signInLink() }, "Sign in");
  // It comes back to what is shown then.
  link.addEventListener("click", () => {
    link.href = signInLink();
  });
  return link;
}

/** @param {string | null} subject */
function signedIn(subject) {
  if (subject === null) return [];
  const out = h("button", { class: "button", type: "button", onclick: signOut }, "Sign out");
  return [h("a", { class: "name", href: listenerLink(subject), title: "Your library" }, subject), out];

  async function signOut() {
    out.disabled = true;
    try {
      await session.signOut();
      announce("Signed out.");
    } catch (error) {
      out.disabled = false;
      out.title = error instanceof Error ? error.message : String(error);
      announce(out.title);
    }
  }
}

/**
 * What stands in place of what this user may not see or do.
 * @param {string} title
 * @param {string} text
 */
export function notAllowed(title, text) {
  return emptyState(title, text, session.offersSignIn && h("p", {}, signInButton()));
}
