// Tables of the page.
import { h } from "./dom.js";

/** @import { Child } from "./types.d.ts" */

/**
 * A column: its heading, or what a screen reader says where it has none, and the classes of its heading.
 * @typedef {{ text: string, class?: string, unseen?: boolean }} Column
 */

/**
 * @param {string | null} caption what a screen reader calls the table
 * @param {Column[]} columns
 * @param {HTMLTableSectionElement} body
 */
export function table(caption, columns, body) {
  const heads = columns.map((column) =>
    h(
      "th",
      { class: column.class, scope: "col" },
      column.unseen ? h("span", { class: "unseen" }, column.text) : column.text,
    ),
  );
  return h(
    "table",
    {},
    caption && h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, heads)),
    body,
  );
}

/**
 * A cell that names a song, with a line below.
 * @param {Child} title
 * @param {...Child} below
 */
export function songCell(title, ...below) {
  return h("td", { class: "song" }, title, ...below);
}
