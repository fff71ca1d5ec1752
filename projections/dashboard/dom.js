// Elements of the page. Text is only ever set as text, so a title can't become markup.

/** @import { Child, Props } from "./types.d.ts" */

/**
 * An element. Props are attributes, or listeners where the name begins with `on`. Children are nodes, texts or nothing.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/**
 * The element of `page.html` that has this id. Throws an Error where there is none.
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no element with the id ${id}.`);
  return element;
}

/**
 * Sets a text only where it differs, so that what stays is neither repainted nor read out again.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Sets an attribute only where it differs; null removes it.
 * @param {Element} element
 * @param {string} name
 * @param {string | number | null | undefined} value
 */
export function setAttribute(element, name, value) {
  if (value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/**
 * Has screen readers read a text, once.
 * @param {string} text
 */
export function announce(text) {
  setText(byId("said"), text);
}

/**
 * What stands in place of content that is not there.
 * @param {string} title
 * @param {string} text
 * @param {...Child} more
 */
export function emptyState(title, text, ...more) {
  return h("div", { class: "empty" }, h("strong", {}, title), h("p", {}, text), ...more);
}

/**
 * Quiet bars in place of content that is being loaded.
 * @param {number} lines
 */
export function placeholder(lines) {
  return h(
    "div",
    { class: "loading", "aria-hidden": "true" },
    Array.from({ length: lines }, () => h("i")),
  );
}

/**
 * The heading of a view.
 * @param {string} title
 * @param {...Child} lead what stands below the title
 */
export function viewHead(title, ...lead) {
  return h("div", { class: "head" }, h("div", {}, h("h1", {}, title), ...lead));
}
