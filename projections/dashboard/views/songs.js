// The catalog, newest first, and the way in.
import { day, empty, h, length, loading } from "../dom.js";
import { ask } from "../live/stream.js";
import { uploads } from "../uploads/form.js";

export function songs({ query }) {
  const words = query.get("q") ?? "";
  const place = h("div", { class: "sheet" }, loading(6));
  const more = h("button", { class: "button", type: "button" }, "More");
  more.hidden = true;
  const search = h("input", { type: "search", name: "q", value: words, placeholder: "Title, artist or album", "aria-label": "Search songs" });
  const form = h("form", { role: "search", class: "controls", onsubmit: find }, search, h("button", { class: "button", type: "submit" }, "Search"));
  const body = h("tbody");
  let next = null;
  let left = false;
  let failed = false;

  function find(event) {
    event.preventDefault();
    const to = search.value.trim() ? `/songs?${new URLSearchParams({ q: search.value.trim() })}` : "/songs";
    location.hash = to;
  }

  async function load(cursor) {
    const asked = new URLSearchParams({ limit: "20", ...(words && { q: words }), ...(cursor && { cursor }) });
    try {
      const found = await ask(`/v1/songs?${asked}`);
      failed = false;
      if (!cursor) body.replaceChildren();
      body.append(...found.songs.map(line));
      next = found.next;
      more.hidden = next === null;
      if (body.children.length) place.replaceChildren(table(body));
      else place.replaceChildren(words ? empty("No song is like that", `Nothing begins with “${words}”. Fewer or shorter words find more.`) : empty("No songs yet", "The first one that is uploaded shows up here a moment later."));
    } catch (error) {
      failed = true;
      place.replaceChildren(empty("Songs can't be shown", error.message, h("p", {}, h("button", { class: "button", type: "button", onclick: () => load() }, "Try again"))));
    }
  }
  /** The song is in the catalog a moment after it is ready; the list waits for it, and not for ever. */
  async function appeared(id, tries = 20) {
    const found = await ask(`/v1/songs?${new URLSearchParams({ limit: "20" })}`).catch(() => null);
    if (left || words) return;
    if (found?.songs.some((song) => song.id === id)) load();
    else if (tries) setTimeout(() => appeared(id, tries - 1), 1000);
  }
  more.addEventListener("click", () => load(next));
  load();

  return {
    title: "Songs",
    element: h(
      "div",
      { class: "stack" },
      h("div", { class: "head" }, h("div", {}, h("h1", {}, "Songs"), h("p", { class: "lead" }, "Everything that can be heard, the newest first."))),
      uploads(appeared),
      h("section", { "aria-label": "Catalog" }, form, place, h("p", { class: "more" }, more)),
    ),
    again() {
      if (failed) load();
    },
    leave() {
      left = true;
    },
  };
}

function table(body) {
  return h(
    "table",
    {},
    h("caption", { class: "unseen" }, "Songs, the newest first"),
    h("thead", {}, h("tr", {}, h("th", { class: "song", scope: "col" }, "Song"), h("th", { class: "wide", scope: "col" }, "Genre"), h("th", { class: "right", scope: "col" }, "Length"), h("th", { class: "right wide", scope: "col" }, "Came"))),
    body,
  );
}

function line(song) {
  return h(
    "tr",
    {},
    h("td", { class: "song" }, h("a", { href: `#/songs/${encodeURIComponent(song.id)}` }, song.title), h("span", {}, [song.artist, song.album].filter(Boolean).join(" · "))),
    h("td", { class: "wide quiet small" }, song.genre ?? ""),
    h("td", { class: "right" }, length(song.durationMs)),
    h("td", { class: "right wide quiet small" }, day(song.uploadedAt)),
  );
}
