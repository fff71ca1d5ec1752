// A blob is in Azurite's indexes on disk before its writer is answered. Azurite alone writes them every five seconds, so
// that a kill loses what it has acknowledged meanwhile (`synced_index.js` keeps it when the power goes). Leases, metadata and reads wait for that turn: they are frequent,
// and an index is written as a whole. Writers that come while it is written share the next writing (lokijs sees to it).
"use strict";

const blobs = require("azurite/dist/src/blob/persistence/LokiBlobMetadataStore").default.prototype;
const extents = require("azurite/dist/src/common/persistence/LokiExtentMetadataStore").default.prototype;

// The index of the files in which the bytes of blobs are: a blob is of no use without it.
let files;
const opened = extents.init;
extents.init = async function () {
  await opened.call(this);
  files = this.db;
};

const saved = (index) =>
  new Promise((resolve, reject) => index.saveDatabase((error) => (error ? reject(error) : resolve())));

for (const name of [
  "createContainer",
  "createBlob",
  "commitBlockList",
  "appendBlock",
  "copyFromURL",
  "startCopyFromURL",
  "createSnapshot",
  "deleteBlob",
]) {
  const change = blobs[name];
  blobs[name] = async function (...args) {
    const changed = await change.apply(this, args);
    await saved(files);
    await saved(this.db);
    return changed;
  };
}
