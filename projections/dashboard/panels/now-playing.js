// Who plays what at this moment, the newest first.
import { arrange, h, mark, span, tell } from "../dom.js";

export function playing() {
  const list = h("ol", { class: "playing" });
  const none = h("p", { class: "quiet small" }, "Nobody has begun a song in the last minutes.");
  return {
    element: h("section", { "aria-label": "Now playing" }, h("h2", {}, "Now playing"), list, none),
    live({ playing, asOf }) {
      none.hidden = playing.length > 0;
      arrange(list, playing, (one) => `${one.userId} ${one.at}`, line, (row, one) => fill(row, one, asOf));
    },
  };
}

function line(one) {
  const song = h("a", { href: `#/songs/${encodeURIComponent(one.songId)}` });
  const artist = h("span");
  const listener = h("a", { href: `#/listeners/${encodeURIComponent(one.userId)}` }, one.userId);
  return h("li", {}, song, h("span", { class: "who" }, artist, listener), h("span", { class: "ago" }));
}

function fill(row, one, asOf) {
  const [song, who, ago] = row.children;
  tell(song, one.title ?? one.songId);
  tell(who.firstChild, one.artist ? `${one.artist} · ` : "");
  const age = Math.max(0, (Date.parse(asOf) - Date.parse(one.at)) / 1000);
  tell(ago, age < 2 ? "now" : span(age));
  mark(row, "data-new", age < 2 ? "" : null);
}
