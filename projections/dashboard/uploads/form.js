// Songs in by drag and drop.
import { h } from "../dom.js";
import { notAllowed } from "../panels/account.js";
import { dropZone } from "../panels/drop-zone.js";
import { session } from "../session.js";
import { MAX_UPLOADS } from "./slots.js";
import { Upload } from "./upload.js";

const USER_KEY = "songline.user";
const DEFAULT_USER = "me";
const FORMATS = "MP3, FLAC, Ogg, Opus, M4A, WAV, AIFF and others, up to 500 MB each";

/** @param {(songId: string) => void} onReady called when an upload has become a song */
export function uploadForm(onReady) {
  if (!session.may("songs:write")) {
    return h("section", { "aria-label": "Upload" }, notAllowed("Upload songs", "Sign in to upload songs of your own."));
  }
  const own = session.subject;
  /** @type {Upload[]} */
  const waiting = [];
  let running = 0;
  const list = h("ul", { class: "ways" });
  const user = h("input", {
    type: "text",
    id: "uploader",
    maxlength: "128",
    value: storedUser(),
    autocomplete: "username",
    spellcheck: "false",
  });
  const input = h("input", {
    type: "file",
    id: "files",
    multiple: true,
    accept: "audio/*,.flac,.opus,.m4a,.m4b,.aiff,.mka,.webm,.wv,.ape,.mpc,.tta,.dsf,.dff,.caf,.wma",
    onchange: () => {
      add(input.files);
      input.value = "";
    },
  });

  /** @param {FileList | null | undefined} files */
  function add(files) {
    const userId = own ?? user.value.trim();
    for (const file of files ?? []) {
      const upload = new Upload(file, userId || DEFAULT_USER, enqueue);
      list.prepend(upload.element);
      enqueue(upload);
    }
    if (own === null) storeUser(userId);
  }

  /** @param {Upload} upload */
  function enqueue(upload) {
    waiting.push(upload);
    sendWaiting();
  }

  function sendWaiting() {
    while (running < MAX_UPLOADS) {
      const upload = waiting.shift();
      if (!upload) return;
      running += 1;
      upload.send().then((songId) => {
        running -= 1;
        if (songId) onReady(songId);
        sendWaiting();
      });
    }
  }

  const drop = dropZone(
    add,
    h("div", { class: "words" }, h("strong", {}, "Drop songs here"), h("p", { class: "quiet small" }, FORMATS)),
    own === null && h("label", { class: "field", for: "uploader" }, "Upload as", user),
    h("div", {}, input, h("label", { class: "button main", for: "files" }, "Choose files")),
  );
  return h("section", { "aria-label": "Upload" }, drop, list);
}

function storedUser() {
  try {
    return localStorage.getItem(USER_KEY) ?? DEFAULT_USER;
  } catch {
    return DEFAULT_USER;
  }
}

/** @param {string} userId */
function storeUser(userId) {
  try {
    localStorage.setItem(USER_KEY, userId);
  } catch {
    // A browser that stores nothing asks again at the next visit.
  }
}
