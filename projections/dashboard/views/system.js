// The pipelines of events and songs, with rate and lag at each stage, and what waits or failed.
import { get } from "../api.js";
import { h, viewHead } from "../dom.js";
import { deadLetters } from "../panels/dead-letters.js";
import { parkedRecords } from "../panels/parked-records.js";
import { pipeline } from "../panels/pipeline.js";
import { polledList } from "../panels/polled-list.js";
import { recentUploads } from "../panels/recent-uploads.js";
import { uploadStates } from "../panels/upload-states.js";
import { session } from "../session.js";

/** @import { View } from "../types.d.ts" */

const REFRESH_MS = 10_000;
const LEAD = "The rate of each stage, and how far each projection is behind.";

/** @returns {View} */
export function system() {
  const pipelines = makePipelines();
  const uploads = polledList(3, () => get("/v1/ingestions", {}, { limit: "8" }), recentUploads);
  const letters = polledList(2, () => get("/v1/deadletters", {}), deadLetters);
  const records = polledList(2, () => get("/v1/parked", {}), parkedRecords);
  // A visitor sees the pipelines, a listener their own uploads too, an operator everything.
  const lists = [
    ...(session.may("songs:write") || session.may("admin") ? [{ title: "Recent uploads", list: uploads }] : []),
    ...(session.may("admin") ? [{ title: "Dead letters", list: letters }] : []),
    ...(session.may("admin") ? [{ title: "Parked records", list: records }] : []),
  ];
  const states = uploadStates(loadLists);
  /** @type {number | undefined} */
  let timer;
  let left = false;

  async function loadLists() {
    clearTimeout(timer);
    await Promise.all(lists.map(({ list }) => list.load()));
    clearTimeout(timer);
    if (!left) timer = setTimeout(loadLists, REFRESH_MS);
  }
  loadLists();

  return {
    title: "System",
    element: h(
      "div",
      { class: "stack" },
      viewHead("Pipelines", h("p", { class: "lead" }, LEAD)),
      h(
        "div",
        { class: "lanes" },
        pipelines.map((one) => one.element),
      ),
      states.element,
      lists.map(({ title, list }) => h("section", {}, h("h2", {}, title), list.element)),
    ),
    onLive(live) {
      for (const one of pipelines) one.onLive(live);
      states.onLive(live);
    },
    onRecovery: loadLists,
    onLeave() {
      left = true;
      clearTimeout(timer);
    },
  };
}

function makePipelines() {
  return [
    pipeline("Plays and likes become charts", [
      ["hub", "music-events"],
      ["hub", "trending-partials"],
      ["hub", "trending-tops"],
      ["projection", "charts"],
    ]),
    pipeline("Uploads become songs", [
      ["queue", "song-commands"],
      ["process", "ingestion"],
      ["hub", "music-events"],
      ["projection", "catalog"],
      ["table", "catalog"],
    ]),
    pipeline("Events become libraries", [
      ["hub", "music-events"],
      ["projection", "library"],
    ]),
    pipeline("Now playing is sent on, not stored", [["hub", "now-playing"]]),
  ];
}
