// The histories of a listener: files in, and what became of each.
import { ApiError, get } from "../api.js";
import { h, setText } from "../dom.js";
import { dropZone } from "../panels/drop-zone.js";
import { session } from "../session.js";
import { ImportRow } from "./import-row.js";

const FORMATS =
  "Files of ListenBrainz, Spotify, Last.fm, Maloja, Rockbox, Pano Scrobbler and YouTube Music, also zipped. " +
  "They go into this library, and into no chart.";

/**
 * @param {string} userId
 * @param {() => void} onChange called when an import has changed the library
 */
export function importPanel(userId, onChange) {
  const mayImport = session.may("events:write:any") || (session.may("events:write") && userId === session.subject);
  const list = h("ul", { class: "ways" });
  const told = h("p", { class: "quiet small", role: "status" });
  const dryRun = h("input", { type: "checkbox", id: "dry-run" });
  /** @type {ImportRow[]} */
  const rows = [];

  /** @param {string} name */
  function row(name) {
    const made = new ImportRow(name, onChange);
    rows.push(made);
    return made;
  }

  /** @param {FileList | null | undefined} files */
  async function add(files) {
    const fields = { userId, timezone: zone(), dryRun: String(dryRun.checked) };
    for (const file of files ?? []) {
      const made = row(file.name);
      list.prepend(made.element);
      await made.send(file, fields);
    }
  }

  async function load() {
    try {
      const { imports } = await get("/v1/users/{user_id}/imports", { user_id: userId });
      for (const one of imports) {
        const made = row(one.fileName ?? "a history");
        list.append(made.element);
        made.show(one);
      }
    } catch (error) {
      setText(told, ApiError.of(error).message);
    }
  }

  const input = h("input", {
    type: "file",
    id: "histories",
    multiple: true,
    onchange: () => {
      // What is chosen is gone once the input is emptied, so that the same file can be chosen again.
      const chosen = new DataTransfer();
      for (const file of input.files ?? []) chosen.items.add(file);
      input.value = "";
      add(chosen.files);
    },
  });
  const drop = dropZone(
    add,
    h("div", { class: "words" }, h("strong", {}, "Drop a history here"), h("p", { class: "quiet small" }, FORMATS)),
    h("label", { class: "field", for: "dry-run" }, "Dry run", dryRun),
    h("div", {}, input, h("label", { class: "button main", for: "histories" }, "Choose files")),
  );
  load();
  return {
    element: h("section", {}, h("h2", {}, "Histories"), mayImport && drop, told, list),
    leave() {
      for (const one of rows) one.leave();
    },
  };
}

/** The zone of local times in a file, which logs of portable players have. */
function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}
