// Like a song, as the user who is signed in. Without one there is nobody to like it.
import { ApiError, get, send } from "../api.js";
import { announce, h, setAttribute, setText } from "../dom.js";
import { session } from "../session.js";

const LIKED_LIMIT = "100";

/** @param {string} songId */
export function likeButton(songId) {
  const userId = session.subject;
  if (userId === null || !session.may("events:write")) return null;
  const parameters = { user_id: userId, song_id: songId };
  const told = h("span", { class: "quiet small", role: "status" });
  const button = h("button", { class: "button", type: "button", "aria-pressed": "false", onclick: toggle }, "Like");
  let isLiked = false;

  /** @param {boolean} liked */
  function show(liked) {
    isLiked = liked;
    setText(button, liked ? "Liked" : "Like");
    setAttribute(button, "aria-pressed", String(liked));
  }

  async function toggle() {
    button.disabled = true;
    const wanted = !isLiked;
    try {
      await send(wanted ? "PUT" : "DELETE", "/v1/users/{user_id}/likes/{song_id}", parameters);
      show(wanted);
      setText(told, "");
      announce(wanted ? "Liked." : "Not liked any more.");
    } catch (error) {
      setText(told, ` ${ApiError.of(error).message}`);
    } finally {
      button.disabled = false;
    }
  }

  if (session.may("library:read")) {
    get("/v1/users/{user_id}/library", { user_id: userId }, { filter: "liked", limit: LIKED_LIMIT })
      .then(({ entries }) => !button.disabled && entries.some((entry) => entry.songId === songId) && show(true))
      .catch(() => {
        // The button works without that.
      });
  }
  return h("p", {}, button, told);
}
