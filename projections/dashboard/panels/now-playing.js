// Who plays what at this moment, the newest first.
import { h, setAttribute, setText } from "../dom.js";
import { formatDuration } from "../format.js";
import { KeyedRows } from "../keyed-rows.js";
import { songLink } from "../links.js";
import { listenerName } from "./listener-name.js";

/** @import { Live, NowPlaying, Row } from "../types.d.ts" */

/** @typedef {{ playing: NowPlaying, asOf: string }} Item */

const NEW_S = 2;

export function nowPlaying() {
  const list = h("ol", { class: "playing" });
  const none = h("p", { class: "quiet small" }, "No song was started in the last minutes.");
  /** @type {KeyedRows<Item>} */
  const rows = new KeyedRows(list, ({ playing }) => `${playing.userId} ${playing.at}`, playingRow);
  return {
    element: h("section", { "aria-label": "Now playing" }, h("h2", {}, "Now playing"), list, none),
    /** @param {Live} live */
    onLive({ playing, asOf }) {
      none.hidden = playing.length > 0;
      rows.update(playing.map((one) => ({ playing: one, asOf })));
    },
  };
}

/**
 * @param {Item} item
 * @returns {Row<Item>}
 */
function playingRow({ playing }) {
  const song = h("a", { href: songLink(playing.songId) });
  const artist = h("span");
  const listener = listenerName(playing.userId);
  const ago = h("span", { class: "ago" });
  const element = h("li", {}, song, h("span", { class: "who" }, artist, listener), ago);
  return {
    element,
    update({ playing: { songId, title, artist: name, at }, asOf }) {
      setText(song, title ?? songId);
      setText(artist, name ? `${name} · ` : "");
      const age = Math.max(0, (Date.parse(asOf) - Date.parse(at)) / 1000);
      setText(ago, age < NEW_S ? "now" : formatDuration(age));
      setAttribute(element, "data-new", age < NEW_S ? "" : null);
    },
  };
}
