// A listener's library: what was heard, liked and uploaded.
import { day, empty, h, length, loading, number } from "../dom.js";
import { ask } from "../live/stream.js";
import { playing } from "../panels/now-playing.js";

export function listener({ values: [id] }) {
  const input = h("input", { type: "text", name: "id", value: id ?? "", placeholder: "user-7", "aria-label": "Listener's id", maxlength: "128", spellcheck: "false" });
  const form = h(
    "form",
    {
      class: "controls",
      onsubmit: (event) => {
        event.preventDefault();
        if (input.value.trim()) location.hash = `/listeners/${encodeURIComponent(input.value.trim())}`;
      },
    },
    input,
    h("button", { class: "button", type: "submit" }, "Show"),
  );
  const content = h("div", { class: "stack" });
  let left = false;
  let failed = false;
  const now = playing();
  if (id === undefined) content.append(empty("Whose library?", "A listener's id, as events carry it, leads to what was heard, liked and uploaded."), now.element);
  else load();

  async function load() {
    failed = false;
    content.replaceChildren(loading(6));
    const base = `/v1/users/${encodeURIComponent(id)}`;
    try {
      const [summary, recent, library] = await Promise.all([ask(`${base}/summary`), ask(`${base}/recent`), ask(`${base}/library`)]);
      if (left) return;
      if (!summary.listens && !summary.liked && !summary.uploaded) {
        content.replaceChildren(empty("Nothing is known of this listener", "Whoever has heard, liked or uploaded a song is known here a moment later. Ids are case-sensitive."));
        return;
      }
      content.replaceChildren(sums(summary), heard(recent.listens), entries(library));
    } catch (error) {
      if (left) return;
      failed = error.status !== 404;
      const title = error.status === 404 ? "Nothing is known of this listener" : "The library can't be shown";
      content.replaceChildren(empty(title, error.message, h("p", {}, h("button", { class: "button", type: "button", onclick: load }, "Try again"))));
    }
  }

  return {
    title: id ? `Library of ${id}` : "Listeners",
    element: h("div", { class: "stack" }, h("div", { class: "head" }, h("div", {}, h("h1", {}, id ?? "Listeners"), h("p", { class: "lead" }, id ? "What this listener heard, liked and uploaded." : "A listener's library, by id."))), form, content),
    live: now.live,
    again() {
      if (failed) load();
    },
    leave() {
      left = true;
    },
  };
}

function sums(summary) {
  const tile = (name, value, more) => h("div", {}, h("dt", {}, name), h("dd", {}, value), more && h("dd", {}, more));
  return h(
    "dl",
    { class: "tiles" },
    tile("Listens", number(summary.listens), summary.lastListenAt && `last ${day(summary.lastListenAt)}`),
    tile("Time heard", hours(summary.msPlayed)),
    tile("Songs", number(summary.songs)),
    tile("Liked", number(summary.liked)),
    tile("Uploaded", number(summary.uploaded)),
  );
}

function hours(ms) {
  const minutes = Math.round(ms / 60_000);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function heard(listens) {
  if (!listens.length) return h("section", {}, h("h2", {}, "Heard last"), empty("Nothing heard yet", "Listens of thirty seconds, or half a song, show up here."));
  const row = (one) => h("tr", {}, named(one), h("td", { class: "right" }, length(one.msPlayed)), h("td", { class: "right quiet small" }, day(one.at)));
  return h("section", {}, h("h2", {}, "Heard last"), h("div", { class: "sheet" }, table("Heard last", ["Song", "Heard", "When"], listens.slice(0, 10).map(row))));
}

function entries(library) {
  const row = (one) =>
    h("tr", {}, named(one), h("td", {}, ...["liked", "uploaded"].filter((mark) => one[mark]).map((mark) => h("span", { class: "badge", title: `since ${day(one[`${mark}At`])}` }, mark))), h("td", { class: "right" }, number(one.plays)));
  return h("section", {}, h("h2", {}, "Library"), library.entries.length ? h("div", { class: "sheet" }, table("Library", ["Song", "", "Plays"], library.entries.map(row))) : empty("An empty library", "Songs that are heard, liked or uploaded are kept here."));
}

function named(one) {
  return h("td", { class: "song" }, h("a", { href: `#/songs/${encodeURIComponent(one.songId)}` }, one.title ?? one.songId), h("span", {}, one.artist ?? "not in the catalog"));
}

function table(name, heads, rows) {
  const head = heads.map((text, place) => h("th", { scope: "col", class: place === 0 ? "song" : place === heads.length - 1 || text ? "right" : null }, text || h("span", { class: "unseen" }, "Marks")));
  return h("table", {}, h("caption", { class: "unseen" }, name), h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}
