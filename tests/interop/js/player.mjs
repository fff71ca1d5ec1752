// subsonic-api plays a song: node player.mjs ADDRESS API_KEY WORDS MOMENT_MS. Prints what it saw as one line of JSON.
import { createHash } from "node:crypto";
import { SubsonicAPI } from "subsonic-api";

const [url, apiKey, query, time] = process.argv.slice(2);
const api = new SubsonicAPI({ url, auth: { apiKey } });
const posting = new SubsonicAPI({ url, auth: { apiKey }, post: true });

const good = (answer) => {
  if (answer.status !== "ok") throw new Error(JSON.stringify(answer));
  return answer;
};

const { openSubsonicExtensions } = good(await posting.getOpenSubsonicExtensions());
good(await api.ping());
const { song: found } = good(await posting.search3({ query })).searchResult3;
const { song } = good(await api.getSong({ id: found[0].id }));
const { album } = good(await api.getAlbum({ id: song.albumId }));
const sound = Buffer.from(await (await api.stream({ id: song.id })).arrayBuffer());
good(await api.scrobble({ id: song.id, submission: false }));
// The second time as if no answer had come.
for (const player of [api, posting]) good(await player.scrobble({ id: song.id, time: Number(time) }));
good(await api.star({ id: song.id }));
// A library that is more than five seconds late is served as it is.
let starred = [];
for (const end = Date.now() + 90_000; starred.length === 0 && Date.now() < end; ) {
  starred = good(await api.getStarred2()).starred2.song;
}
const cover = await api.getCoverArt({ id: song.id });
const { error } = await new SubsonicAPI({ url, auth: { apiKey: "no-key" } }).ping();

console.log(
  JSON.stringify({
    extensions: openSubsonicExtensions.map((one) => one.name),
    found: found.map((one) => one.id),
    album: album.song.map((one) => one.id),
    type: song.contentType,
    created: song.created instanceof Date,
    sound: createHash("sha256").update(sound).digest("hex"),
    starred: starred.map((one) => [one.id, one.starred instanceof Date]),
    cover: cover.status,
    refused: error.code,
  }),
);
