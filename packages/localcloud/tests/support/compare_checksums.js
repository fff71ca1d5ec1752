// Compares checksums that are found by what serves blobs with those that Azurite finds by itself. The folder is an
// argument, NODE_PATH has Azurite.
"use strict";

const assert = require("node:assert");
const { createHash, randomBytes } = require("node:crypto");
const { join } = require("node:path");
const { Readable } = require("node:stream");
const utils = require("azurite/dist/src/common/utils/utils");

const theirs = utils.computeTransactionalChecksums;
require(join(process.argv[2], "block_checksums.js"));
const ours = utils.computeTransactionalChecksums;

// The text that catalogues of CRCs have, nothing, and pieces of bytes, all of them behind one of each length.
const lengths = [0, 1, 7, 8, 9, 15, 16, 17, 39, 40, 4_096, 65_537];
const contents = [[Buffer.from("123456789")], [], ...lengths.map((size) => [randomBytes(size)])];
for (const first of lengths) contents.push([randomBytes(first), ...lengths.map((size) => randomBytes(size))]);

async function main() {
  assert.notStrictEqual(ours, theirs);
  for (const pieces of contents) {
    for (const [expected, force] of [
      [{}, { crc64: true }],
      [{}, { md5: true }],
      [{ md5: "x", crc64: "x" }, undefined],
      [{}, undefined],
    ]) {
      const one = await ours(Readable.from(pieces), expected, force);
      assert.deepStrictEqual(one, await theirs(Readable.from(pieces), expected, force));
      if (one.md5) assert.deepStrictEqual(Buffer.from(one.md5), createHash("md5").update(Buffer.concat(pieces)).digest());
    }
  }
  const { crc64 } = await ours(Readable.from(contents[0]), {}, { crc64: true });
  console.log(Buffer.from(crc64).reverse().toString("hex"));
}

main();
