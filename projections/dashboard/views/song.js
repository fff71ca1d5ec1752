// A song: what it is, its audio, and how often it was heard.
import { ApiError, get } from "../api.js";
import { emptyState, h, placeholder, viewHead } from "../dom.js";
import { formatBytes, formatCount, formatDateTime, formatLength } from "../format.js";
import { WINDOW_SPANS } from "../labels.js";
import { songLink } from "../links.js";
import { likeButton } from "../panels/like-button.js";
import { listenerName } from "../panels/listener-name.js";
import { playsByHour } from "../panels/plays-by-hour.js";
import { session } from "../session.js";

/** @import { NamedSong, Plot, Route, Song, Standing, View } from "../types.d.ts" */

const HOURS = 48;
const REFRESH_MS = 15_000;
const CATALOG_RETRY_MS = 1000;
const NOT_RANKED = "It is not in the top hundred of any window now.";
const NO_AUDIO = "This song has no audio. Songs of simulated listeners have none.";
const BAD_AUDIO = "The audio can't be played: it is lost, or this browser does not support its format.";
/** @type {Record<number, string>} */
const GONE = { 404: "No such song", 410: "This song was removed" };

/**
 * @param {Route} route
 * @returns {View}
 */
export function song({ values: [id = ""] }) {
  const element = h("div", { class: "stack" }, h("h1", { class: "unseen" }, "Song"), placeholder(5));
  const standings = h("div");
  const chart = h("div");
  /** @type {Plot | null} */
  let plot = null;
  /** @type {number | undefined} */
  let timer;
  let left = false;
  let failed = false;

  async function loadPlays() {
    try {
      const [history, plays] = await Promise.all([
        get("/v1/songs/{song_id}/history", { song_id: id }),
        get("/v1/songs/{song_id}/plays", { song_id: id }, { hours: String(HOURS) }),
      ]);
      if (left) return;
      standings.replaceChildren(standingTiles(history.standings));
      plot?.destroy();
      plot = playsByHour(chart, plays.hours, HOURS);
    } catch (error) {
      if (left) return;
      chart.replaceChildren(emptyState("Its plays can't be shown", ApiError.of(error).message));
    }
    timer = setTimeout(loadPlays, REFRESH_MS);
  }

  async function load() {
    failed = false;
    try {
      const answer = await get("/v1/songs/{song_id}", { song_id: id });
      if (left) return;
      document.title = `${answer.song.title} · Songline`;
      const known = answer.song;
      element.replaceChildren(
        ...("userId" in known ? [songHead(known), songAudio(known)] : [nameHead(known)]),
        h("section", {}, h("h2", {}, "In the charts now"), standings),
        h("section", {}, h("h2", {}, "Listens, hour by hour"), chart),
      );
    } catch (thrown) {
      await showFailure(ApiError.of(thrown));
      return;
    }
    loadPlays();
  }

  /** @param {ApiError} error */
  async function showFailure({ status, message }) {
    const coming = status === 404 && (await isComing(id));
    if (left) return;
    if (coming) {
      const text = h("p", { class: "quiet" }, "The song is stored and appears in the catalog in a moment.");
      element.replaceChildren(h("h1", {}, "On its way"), text, placeholder(4));
      timer = setTimeout(load, CATALOG_RETRY_MS);
      return;
    }
    failed = !(status in GONE);
    const all = h("p", {}, h("a", { href: "#/songs" }, "All songs"));
    element.replaceChildren(
      h("h1", {}, GONE[status] ?? "The song can't be shown"),
      h("div", { class: "empty" }, h("p", {}, message), all),
    );
  }

  load();
  return {
    title: "Song",
    element,
    onRecovery() {
      if (failed) load();
    },
    onLeave() {
      left = true;
      clearTimeout(timer);
      plot?.destroy();
    },
  };
}

/**
 * Whether an upload of this id is on its way, or is ready and not in the catalog yet.
 * @param {string} id
 */
async function isComing(id) {
  if (!session.may("songs:write") && !session.may("admin")) return false;
  const upload = await get("/v1/ingestions/{ingestion_id}", { ingestion_id: id }).catch(() => null);
  return upload !== null && !upload.removedAt && !["rejected", "dead"].includes(upload.state);
}

/** @param {Song} song */
function songHead({ id, title, artist, album, genre, genres, durationMs, uploadedAt, userId }) {
  const said = [album, genres?.join(", ") ?? genre, formatLength(durationMs), `uploaded ${formatDateTime(uploadedAt)}`];
  const facts = said.filter(Boolean);
  const by = ` · ${facts.join(" · ")} · by `;
  const lead = h("p", { class: "lead" }, h("strong", {}, artist), by, listenerName(userId));
  return viewHead(title, lead, likeButton(id));
}

/** @param {NamedSong} song */
function nameHead({ id, title, artist, album, matchedWith }) {
  const facts = [album, "known by name only: no upload has it"].filter(Boolean).join(" · ");
  const song = matchedWith ? h("a", { href: songLink(matchedWith) }, "this song") : null;
  const matched = song ? [" · counts as ", song, " since somebody said so"] : [];
  return viewHead(title, h("p", { class: "lead" }, h("strong", {}, artist), ` · ${facts}`, ...matched), likeButton(id));
}

/** @param {Song} song */
function songAudio({ id, title, artist, sha256, size, contentType }) {
  if (!sha256) return h("p", { class: "silent" }, NO_AUDIO);
  const failure = h("p", { class: "notice bad" }, BAD_AUDIO);
  failure.hidden = true;
  const player = h("audio", {
    controls: true,
    preload: "metadata",
    src: `/v1/songs/${encodeURIComponent(id)}/audio`,
    "aria-label": `${title} by ${artist}`,
    onerror: () => {
      failure.hidden = false;
    },
  });
  const facts = h("p", { class: "quiet small" }, `${contentType ?? ""} · ${formatBytes(size ?? 0)}`);
  return h("section", { "aria-label": "Audio" }, player, failure, facts);
}

/** @param {Standing[]} standings */
function standingTiles(standings) {
  if (!standings.length) return h("p", { class: "quiet" }, NOT_RANKED);
  const tiles = standings.map(({ window, rank, listens, likes }) =>
    h(
      "div",
      {},
      h("dt", {}, `Last ${WINDOW_SPANS[window]}`),
      h("dd", {}, `#${rank}`),
      h("dd", {}, `${formatCount(listens, "listen")}, ${formatCount(likes, "like")}`),
    ),
  );
  return h("dl", { class: "tiles" }, tiles);
}
