// The catalog, newest first, and the way to upload.
import { ApiError, get } from "../api.js";
import { emptyState, h, placeholder, viewHead } from "../dom.js";
import { formatDateTime, formatLength } from "../format.js";
import { songLink } from "../links.js";
import { songCell, table } from "../table.js";
import { uploadForm } from "../uploads/form.js";

/** @import { Route, Song, View } from "../types.d.ts" */

const PAGE = "20";
const CATALOG_TRIES = 20;
const CATALOG_RETRY_MS = 1000;
const COLUMNS = [
  { text: "Song", class: "song" },
  { text: "Genre", class: "wide" },
  { text: "Length", class: "right" },
  { text: "Uploaded", class: "right wide" },
];

/**
 * @param {Route} route
 * @returns {View}
 */
export function songs({ query }) {
  const words = query.get("q") ?? "";
  const body = h("tbody");
  const place = h("div", { class: "sheet" }, placeholder(6));
  const more = h("button", { class: "button", type: "button", onclick: () => load(next) }, "More");
  more.hidden = true;
  /** @type {string | null} the cursor of the next page */
  let next = null;
  let left = false;
  let failed = false;

  /** @param {string | null} [cursor] */
  async function load(cursor) {
    try {
      const page = await get("/v1/songs", {}, { limit: PAGE, ...(words && { q: words }), ...(cursor && { cursor }) });
      failed = false;
      if (!cursor) body.replaceChildren();
      body.append(...page.songs.map(songRow));
      next = page.next;
      more.hidden = next === null;
      if (body.children.length) place.replaceChildren(table("Songs, the newest first", COLUMNS, body));
      else place.replaceChildren(noSongs(words));
    } catch (error) {
      failed = true;
      const again = h("button", { class: "button", type: "button", onclick: () => load() }, "Try again");
      place.replaceChildren(emptyState("Songs can't be shown", ApiError.of(error).message, h("p", {}, again)));
    }
  }

  /**
   * Loads the list again once the catalog has the song, which is a moment after the upload is ready.
   * @param {string} id
   */
  async function awaitSong(id, tries = CATALOG_TRIES) {
    const page = await get("/v1/songs", {}, { limit: PAGE }).catch(() => null);
    if (left || words) return;
    if (page?.songs.some((song) => song.id === id)) load();
    else if (tries) setTimeout(() => awaitSong(id, tries - 1), CATALOG_RETRY_MS);
  }
  load();

  return {
    title: "Songs",
    element: h(
      "div",
      { class: "stack" },
      viewHead("Songs", h("p", { class: "lead" }, "All songs in the catalog, the newest first.")),
      uploadForm(awaitSong),
      h("section", { "aria-label": "Catalog" }, searchForm(words), place, h("p", { class: "more" }, more)),
    ),
    onRecovery() {
      if (failed) load();
    },
    onLeave() {
      left = true;
    },
  };
}

/** @param {string} words */
function searchForm(words) {
  const search = h("input", {
    type: "search",
    name: "q",
    value: words,
    placeholder: "Title, artist or album",
    "aria-label": "Search songs",
  });
  /** @param {SubmitEvent} event */
  function onsubmit(event) {
    event.preventDefault();
    const wanted = search.value.trim();
    location.hash = wanted ? `/songs?${new URLSearchParams({ q: wanted })}` : "/songs";
  }
  const button = h("button", { class: "button", type: "submit" }, "Search");
  return h("form", { role: "search", class: "controls", onsubmit }, search, button);
}

/** @param {string} words */
function noSongs(words) {
  if (!words) return emptyState("No songs yet", "A song appears here a moment after its upload is ready.");
  return emptyState("No songs found", `No title, artist or album has words that begin with “${words}”.`);
}

/** @param {Song} song */
function songRow({ id, title, artist, album, genre, genres, durationMs, uploadedAt }) {
  return h(
    "tr",
    {},
    songCell(h("a", { href: songLink(id) }, title), h("span", {}, [artist, album].filter(Boolean).join(" · "))),
    h("td", { class: "wide quiet small" }, genres?.join(", ") ?? genre ?? ""),
    h("td", { class: "right" }, formatLength(durationMs)),
    h("td", { class: "right wide quiet small" }, formatDateTime(uploadedAt)),
  );
}
