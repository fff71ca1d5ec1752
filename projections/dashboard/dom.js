// Elements and words. Text is only ever set as text: what a title holds can't become markup.

/** An element. Props are attributes, or properties for `on…` handlers; children are nodes, texts or nothing. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Sets text or attribute only where it differs: nothing is repainted or read out for what stays. */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
export function mark(element, name, value) {
  if (value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Says something to screen readers, once. */
export function say(text) {
  tell(document.getElementById("said"), text);
}

export function empty(title, text, ...more) {
  return h("div", { class: "empty" }, h("strong", {}, title), h("p", {}, text), ...more);
}
export function loading(lines = 6) {
  return h("div", { class: "loading", "aria-hidden": "true" }, ...Array.from({ length: lines }, () => h("i")));
}

/** Brings the rows of a table body into the order of `items`, each row kept by its key; rows that move glide. */
export function arrange(body, items, key, make, update) {
  const rows = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const before = new Map([...rows].map(([name, row]) => [name, row.offsetTop]));
  const focused = document.activeElement;
  items.forEach((item, place) => {
    const name = key(item);
    let row = rows.get(name);
    if (!row) {
      row = make(item);
      row.dataset.key = name;
    }
    rows.delete(name);
    update(row, item);
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  });
  for (const row of rows.values()) row.remove();
  if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of body.children) {
    const was = before.get(row.dataset.key);
    const by = was === undefined ? 0 : was - row.offsetTop;
    if (by && Math.abs(by) < 2000) {
      row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 350, easing: "ease-out" });
    }
  }
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const number = (value) => whole.format(value);
export const many = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
export const compact = (value) => (value < 10_000 ? whole.format(value) : short.format(value));
export const rate = (value) => (value == null ? "–" : value === 0 ? "0" : value < 10 ? value.toFixed(1) : compact(Math.round(value)));
export const clock = (moment) =>
  new Date(moment).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const day = (moment) =>
  new Date(moment).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const time = (moment) => new Date(moment).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
export const date = (moment) => new Date(moment).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
/** The time of day of what is not long ago, with its day otherwise. */
export const moment = (at) => (Math.abs(Date.now() - Date.parse(at)) < 43_200_000 ? time(at) : day(at));

/** `seconds` in words: 4 s, 12 min, 3 h, 5 days. */
export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
/** Milliseconds as a song's length, 3:21. */
export function length(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
export function bytes(size) {
  return size < 1e6 ? `${Math.max(1, Math.round(size / 1e3))} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
