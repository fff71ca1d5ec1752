// A song: what it is, how it sounds, how often it was heard.
import { bytes, day, empty, h, length, loading, many, number } from "../dom.js";
import { ask } from "../live/stream.js";
import { hours } from "../plots/plot.js";
import { SPANS } from "../labels.js";

const HOURS = 48;

export function song({ values: [id] }) {
  const element = h("div", { class: "stack" }, h("h1", { class: "unseen" }, "Song"), loading(5));
  const view = { title: "Song", element };
  let plot = null;
  let timer = 0;
  let left = false;
  let failed = false;
  const standings = h("div");
  const chart = h("div");

  async function history() {
    try {
      const path = `/v1/songs/${encodeURIComponent(id)}`;
      const [found, plays] = await Promise.all([ask(`${path}/history`), ask(`${path}/plays?hours=${HOURS}`)]);
      if (left) return;
      standings.replaceChildren(found.standings.length ? tiles(found.standings) : h("p", { class: "quiet" }, "It is not among the hundred most heard of any window now."));
      plot?.end();
      plot = drawn(chart, plays.hours);
    } catch (error) {
      if (left) return;
      chart.replaceChildren(empty("Its plays can't be shown", error.message));
    }
    timer = setTimeout(history, 15_000);
  }

  async function load() {
    failed = false;
    try {
      const { song } = await ask(`/v1/songs/${encodeURIComponent(id)}`);
      if (left) return;
      document.title = `${song.title} · Songline`;
      element.replaceChildren(head(song), sound(song), h("section", {}, h("h2", {}, "In the charts now"), standings), h("section", {}, h("h2", {}, "Listens, hour by hour"), chart));
    } catch (error) {
      if (left) return;
      if (error.status === 404 && (await coming(id))) {
        element.replaceChildren(h("h1", {}, "On its way"), h("p", { class: "quiet" }, "The song is stored; the catalog gets it in a moment."), loading(4));
        timer = setTimeout(load, 1000);
        return;
      }
      if (left) return;
      failed = ![404, 410].includes(error.status);
      const gone = { 404: "No such song", 410: "This song was taken away" }[error.status] ?? "The song can't be shown";
      element.replaceChildren(h("h1", {}, gone), h("div", { class: "empty" }, h("p", {}, error.message), h("p", {}, h("a", { href: "#/songs" }, "All songs"))));
      return;
    }
    history();
  }
  load();
  view.again = () => {
    if (failed) load();
  };
  view.leave = () => {
    left = true;
    clearTimeout(timer);
    plot?.end();
  };
  return view;
}

/** Whether an upload of this id is on its way, or through and not in the catalog yet. */
async function coming(id) {
  const found = await ask(`/v1/ingestions/${encodeURIComponent(id)}`).catch(() => null);
  return found !== null && !found.removedAt && !["rejected", "dead"].includes(found.state);
}

function head(song) {
  const facts = [song.album, song.genre, length(song.durationMs), `came ${day(song.uploadedAt)}`].filter(Boolean);
  return h("div", { class: "head" }, h("div", {}, h("h1", {}, song.title), h("p", { class: "lead" }, h("strong", {}, song.artist), ` · ${facts.join(" · ")} · by `, h("a", { href: `#/listeners/${encodeURIComponent(song.userId)}` }, song.userId))));
}

function sound(song) {
  if (!song.sha256) return h("p", { class: "silent" }, "This song was announced without its sound, as those of simulated listeners are.");
  const player = h("audio", { controls: true, preload: "metadata", src: `/v1/songs/${encodeURIComponent(song.id)}/audio`, "aria-label": `${song.title} by ${song.artist}` });
  const wrong = h("p", { class: "notice bad" }, "The sound can't be played: it is lost, or this browser does not know its format.");
  wrong.hidden = true;
  player.addEventListener("error", () => (wrong.hidden = false));
  return h("section", { "aria-label": "Sound" }, player, wrong, h("p", { class: "quiet small" }, `${song.contentType ?? ""} · ${bytes(song.size)}`));
}

function tiles(standings) {
  return h("dl", { class: "tiles" }, ...standings.map((one) => h("div", {}, h("dt", {}, `Last ${SPANS[one.window]}`), h("dd", {}, `#${one.rank}`), h("dd", {}, `${many(one.listens, "listen")}, ${many(one.likes, "like")}`))));
}

/** The hours since it was heard first, of those that were asked for. One that is not counted to its end yet is paler. */
function drawn(place, asked) {
  const hear = asked.findIndex((hour) => hour.listens || hour.likes);
  if (hear < 0) {
    place.replaceChildren(empty("Nothing yet", `Nobody has heard it in the last ${HOURS} hours.`));
    return null;
  }
  const points = asked.slice(hear);
  const canvas = h("div", { class: "canvas" });
  const most = points.reduce((one, other) => (other.listens > one.listens ? other : one));
  const figure = h(
    "figure",
    { class: "sheet plot", role: "img", "aria-label": `Listens an hour, ${points.length} hours; most were ${number(most.listens)} from ${day(most.hour)} on` },
    canvas,
  );
  const rows = [...points].reverse().map((point) => h("tr", {}, h("td", {}, day(point.hour), point.counting ? h("span", { class: "quiet" }, " so far") : ""), h("td", { class: "right" }, number(point.listens)), h("td", { class: "right" }, number(point.likes))));
  const open = place.querySelector("details")?.open;
  place.replaceChildren(
    figure,
    h("details", { open: open || false }, h("summary", { class: "small quiet" }, "As a table"), h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Hour from"), h("th", { class: "right", scope: "col" }, "Listens"), h("th", { class: "right", scope: "col" }, "Likes"))), h("tbody", {}, ...rows))),
  );
  return hours(canvas, "--plays", points.map((point) => ({ at: Date.parse(point.hour), value: point.listens, open: point.counting })));
}
