// Reads each of COUNT extents that an empty store has, twice and then the first once more, by what serves blobs; prints
// how often a file of checksums was read. The folder is an argument, NODE_PATH has Azurite.
"use strict";

const { mkdir, writeFile } = require("node:fs/promises");
const files = require("node:fs/promises");
const { join } = require("node:path");

const COUNT = 40;
const [, , blobs, folder] = process.argv;
const idOf = (number) => `00000000-0000-0000-0000-${String(number).padStart(12, "0")}`;

let reads = 0;
const { readFile } = files;
files.readFile = (file, ...options) => {
  reads += 1;
  return readFile(file, ...options);
};
const extents = require("azurite/dist/src/common/persistence/FSExtentStore").default.prototype;
extents.readExtent = async () => null;
require(join(blobs, "summed_extents.js"));

const store = Object.create(extents, {
  metadataStore: { value: { getExtentLocationId: async () => "here" } },
  persistencyPath: { value: new Map([["here", folder]]) },
});

async function main() {
  await mkdir(folder, { recursive: true });
  const read = (number) => store.readExtent({ id: idOf(number), offset: 0, count: 1 });
  for (let number = 0; number < COUNT; number += 1) {
    await writeFile(join(folder, idOf(number)), "x");
    await writeFile(join(folder, `${idOf(number)}.sums`), "0 1 2d711642b726b044\n");
    await read(number);
    await read(number);
  }
  await read(COUNT - 1);
  const recalled = reads;
  await read(0);
  console.log(recalled, reads - recalled);
}

main();
