// Azurite's indexes outlive a loss of power, and a bit that has changed in one is named: each is synced before it takes
// the place of the one before, and begins with the checksum of the rest, in a field that lokijs passes over.
"use strict";

const { createHash } = require("node:crypto");
const { open, readFile, rename } = require("node:fs/promises");
const { dirname } = require("node:path");
const { damaged, syncFolder } = require("./damage.js");
const files = require("lokijs").LokiFsAdapter.prototype;

const FIELD = /^\{"sha256":"([0-9a-f]{64})",/;

const digest = (text) => createHash("sha256").update(text).digest("hex");

async function save(file, pieces) {
  const contents = pieces.map((piece) => Buffer.from(piece));
  const hash = createHash("sha256");
  for (const content of contents) hash.update(content);
  contents[0] = contents[0].subarray(1);
  const written = await open(`${file}~`, "w");
  try {
    await written.writeFile(`{"sha256":"${hash.digest("hex")}",`);
    for (const content of contents) await written.writeFile(content);
    await written.sync();
  } finally {
    await written.close();
  }
  await rename(`${file}~`, file);
  await syncFolder(dirname(file));
}

async function load(file) {
  let text;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
  const said = FIELD.exec(text);
  // One of an earlier version has no checksum.
  if (!said && text.startsWith('{"filename":')) return text;
  const index = said && `{${text.slice(said[0].length)}`;
  if (!said || digest(index) !== said[1]) throw damaged(file, "it is not what was written");
  return index;
}

files.saveDatabase = (file, pieces, done) => save(file, pieces).then(() => done(null), done);
files.loadDatabase = (file, done) => load(file).then(done, done);
