// Addresses of views, behind the `#` of the page's own.

/** @param {string} songId */
export const songLink = (songId) => `#/songs/${encodeURIComponent(songId)}`;

/** @param {string} userId */
export const listenerLink = (userId) => `#/listeners/${encodeURIComponent(userId)}`;
