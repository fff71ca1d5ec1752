// A list on the page whose rows are kept by key while their order changes.

/** @import { Row } from "./types.d.ts" */

const MAX_GLIDE_PX = 2000; // What comes from farther away is not on the screen.
const GLIDE = { duration: 350, easing: "ease-out" };

/** @template Item */
export class KeyedRows {
  #parent;
  #key;
  #make;
  /** @type {Map<string, Row<Item>>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} parent
   * @param {(item: Item) => string} key
   * @param {(item: Item) => Row<Item>} make
   */
  constructor(parent, key, make) {
    this.#parent = parent;
    this.#key = key;
    this.#make = make;
  }

  /**
   * Shows these items in this order. A row that moves glides, unless less motion was asked for.
   * @param {Item[]} items
   */
  update(items) {
    const tops = new Map([...this.#rows.values()].map(({ element }) => [element, element.offsetTop]));
    const focused = document.activeElement;
    /** @type {Map<string, Row<Item>>} */
    const rows = new Map();
    items.forEach((item, place) => {
      const key = this.#key(item);
      const row = this.#rows.get(key) ?? this.#made(item, key);
      rows.set(key, row);
      row.update(item);
      const there = this.#parent.children[place] ?? null;
      if (there !== row.element) this.#parent.insertBefore(row.element, there);
    });
    for (const [key, row] of this.#rows) if (!rows.has(key)) row.element.remove();
    this.#rows = rows;
    // An element that is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.#parent.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) glide(tops);
  }

  /**
   * @param {Item} item
   * @param {string} key
   */
  #made(item, key) {
    const row = this.#make(item);
    row.element.dataset.key = key;
    return row;
  }
}

/** @param {Map<HTMLElement, number>} tops where each element was */
function glide(tops) {
  for (const [element, top] of tops) {
    const distance = top - element.offsetTop;
    if (!element.isConnected || !distance || Math.abs(distance) >= MAX_GLIDE_PX) continue;
    element.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], GLIDE);
  }
}
