// A listener's library: what they heard, liked and uploaded.
import { ApiError, get } from "../api.js";
import { emptyState, h, placeholder, viewHead } from "../dom.js";
import { formatDateTime, formatHours, formatLength, formatNumber } from "../format.js";
import { importPanel } from "../imports/import-panel.js";
import { listenerLink, songLink } from "../links.js";
import { notAllowed } from "../panels/account.js";
import { nowPlaying } from "../panels/now-playing.js";
import { session } from "../session.js";
import { songCell, table } from "../table.js";

/** @import { LibraryEntry, LibrarySummary, RecentListen, Route, View } from "../types.d.ts" */

const UNKNOWN = "Nothing is known of this listener";
const UNKNOWN_TEXT = "A listener appears here a moment after they hear, like or upload a song. Ids are case-sensitive.";
const ASK_TEXT = "The user id of an event finds what that listener heard, liked and uploaded.";
const CLOSED_TEXT = "Sign in to see what you heard, liked and uploaded. Each listener sees their own.";
const RECENT_ROWS = 10;
const LIBRARY_AFTER_MS = [1500, 5000];
const RECENT_COLUMNS = [
  { text: "Song", class: "song" },
  { text: "Heard", class: "right" },
  { text: "When", class: "right" },
];
const LIBRARY_COLUMNS = [
  { text: "Song", class: "song" },
  { text: "Marks", unseen: true },
  { text: "Plays", class: "right" },
];

/**
 * @param {Route} route
 * @returns {View}
 */
export function listener({ values: [named] }) {
  const id = named ?? session.subject ?? undefined;
  const isAnyAllowed = session.may("library:read:any");
  const isOwn = id !== undefined && id === session.subject;
  const content = h("div", { class: "stack" });
  const playing = nowPlaying();
  let left = false;
  let failed = false;

  /**
   * @param {string} userId
   * @param {boolean} [isAgain] what is shown stays until there is more
   */
  async function load(userId, isAgain = false) {
    failed = false;
    if (!isAgain) content.replaceChildren(placeholder(6));
    try {
      const [summary, recent, library] = await Promise.all([
        get("/v1/users/{user_id}/summary", { user_id: userId }),
        get("/v1/users/{user_id}/recent", { user_id: userId }),
        get("/v1/users/{user_id}/library", { user_id: userId }),
      ]);
      if (left) return;
      if (!summary.listens && !summary.liked && !summary.uploaded) {
        content.replaceChildren(emptyState(UNKNOWN, UNKNOWN_TEXT));
        return;
      }
      content.replaceChildren(
        summaryTiles(summary),
        h("section", {}, h("h2", {}, "Heard last"), recentListens(recent.listens)),
        h("section", {}, h("h2", {}, "Library"), libraryEntries(library.entries)),
      );
    } catch (thrown) {
      if (left) return;
      const { status, message } = ApiError.of(thrown);
      failed = status !== 404;
      const again = h("button", { class: "button", type: "button", onclick: () => load(userId) }, "Try again");
      content.replaceChildren(emptyState(failed ? "The library can't be shown" : UNKNOWN, message, h("p", {}, again)));
    }
  }

  /** What an import has changed is in the library a moment later. */
  function loadSoon() {
    for (const later of LIBRARY_AFTER_MS) {
      setTimeout(() => !left && id !== undefined && load(id, true), later);
    }
  }

  const imports = id !== undefined && session.mayReadLibraryOf(id) ? importPanel(id, loadSoon) : null;
  if (id === undefined && isAnyAllowed) content.append(emptyState("Whose library?", ASK_TEXT), playing.element);
  else if (id === undefined) content.append(notAllowed("Your library", CLOSED_TEXT), playing.element);
  else if (session.mayReadLibraryOf(id)) load(id);
  else content.append(closed(id));

  const lead = leadOf(id, isOwn);
  return {
    title: id ? `Library of ${id}` : "Listeners",
    element: h(
      "div",
      { class: "stack" },
      viewHead(id ?? "Listeners", h("p", { class: "lead" }, lead)),
      isAnyAllowed && listenerForm(id),
      content,
      imports?.element,
    ),
    onLive: playing.onLive,
    onRecovery() {
      if (failed && id !== undefined && session.mayReadLibraryOf(id)) load(id);
    },
    onLeave() {
      left = true;
      imports?.leave();
    },
  };
}

/**
 * @param {string | undefined} id
 * @param {boolean} isOwn
 */
function leadOf(id, isOwn) {
  if (isOwn) return "What you heard, liked and uploaded.";
  return id ? "What this listener heard, liked and uploaded." : "A listener's library, by id.";
}

/** @param {string} id */
function closed(id) {
  if (session.subject === null) return notAllowed("Only this listener sees their library", CLOSED_TEXT);
  return notAllowed("This is another listener's library", `You are signed in as ${session.subject}, who is not ${id}.`);
}

/** @param {string | undefined} id */
function listenerForm(id) {
  const input = h("input", {
    type: "text",
    name: "id",
    value: id ?? "",
    placeholder: "user-7",
    "aria-label": "Listener's id",
    maxlength: "128",
    spellcheck: "false",
  });
  /** @param {SubmitEvent} event */
  function onsubmit(event) {
    event.preventDefault();
    const wanted = input.value.trim();
    if (wanted) location.hash = listenerLink(wanted);
  }
  const button = h("button", { class: "button", type: "submit" }, "Show");
  return h("form", { class: "controls", onsubmit }, input, button);
}

/** @param {LibrarySummary} summary */
function summaryTiles({ listens, lastListenAt, msPlayed, songs, liked, uploaded }) {
  return h(
    "dl",
    { class: "tiles" },
    tile("Listens", formatNumber(listens), lastListenAt && `last ${formatDateTime(lastListenAt)}`),
    tile("Time heard", formatHours(msPlayed)),
    tile("Songs", formatNumber(songs)),
    tile("Liked", formatNumber(liked)),
    tile("Uploaded", formatNumber(uploaded)),
  );
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string | null} [more]
 */
function tile(name, value, more) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value), more && h("dd", {}, more));
}

/** @param {RecentListen[]} listens */
function recentListens(listens) {
  if (!listens.length)
    return emptyState("Nothing heard yet", "Listens of thirty seconds, or of half a song, appear here.");
  const rows = listens
    .slice(0, RECENT_ROWS)
    .map((listen) =>
      h(
        "tr",
        {},
        namedSong(listen),
        h("td", { class: "right" }, formatLength(listen.msPlayed)),
        h("td", { class: "right quiet small" }, formatDateTime(listen.at)),
      ),
    );
  return h("div", { class: "sheet" }, table("Heard last", RECENT_COLUMNS, h("tbody", {}, rows)));
}

/** @param {LibraryEntry[]} entries */
function libraryEntries(entries) {
  if (!entries.length)
    return emptyState("An empty library", "Songs that this listener hears, likes or uploads appear here.");
  const rows = entries.map((entry) =>
    h(
      "tr",
      {},
      namedSong(entry),
      h("td", {}, entry.liked && badge("liked", entry.likedAt), entry.uploaded && badge("uploaded", entry.uploadedAt)),
      h("td", { class: "right" }, formatNumber(entry.plays)),
    ),
  );
  return h("div", { class: "sheet" }, table("Library", LIBRARY_COLUMNS, h("tbody", {}, rows)));
}

/**
 * @param {string} text
 * @param {string | null} since
 */
function badge(text, since) {
  return h("span", { class: "badge", title: since && `since ${formatDateTime(since)}` }, text);
}

/** @param {{ songId: string, title: string | null, artist: string | null }} song */
function namedSong({ songId, title, artist }) {
  return songCell(h("a", { href: songLink(songId) }, title ?? songId), h("span", {}, artist ?? "not in the catalog"));
}
