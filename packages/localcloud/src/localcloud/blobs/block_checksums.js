// Azurite answers each block with the CRC-64 of its bytes (NVME's, "Put Block" of the Blob service's REST API), for which
// it reads them again, and which it finds a byte at a time: that is a third of what a block costs. Here it is found while
// the bytes come, eight at a time ("slicing by 8").
"use strict";

const { AsyncLocalStorage } = require("node:async_hooks");
const { createHash } = require("node:crypto");
const utils = require("azurite/dist/src/common/utils/utils");
const blocks = require("azurite/dist/src/blob/handlers/BlockBlobHandler").default.prototype;
const extents = require("azurite/dist/src/common/persistence/FSExtentStore").default.prototype;

const POLYNOMIAL_HIGH = 0x9a6c9329;
const POLYNOMIAL_LOW = 0xac4bc9b5;

// The checksum of each byte with 0 to 7 bytes of zeros behind it, in two halves.
const HIGH = new Int32Array(8 * 256);
const LOW = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte += 1) {
  let high = 0;
  let low = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    const isOdd = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (isOdd) {
      high ^= POLYNOMIAL_HIGH;
      low ^= POLYNOMIAL_LOW;
    }
  }
  HIGH[byte] = high;
  LOW[byte] = low;
}
for (let at = 256; at < HIGH.length; at += 1) {
  const high = HIGH[at - 256];
  const low = LOW[at - 256];
  HIGH[at] = (high >>> 8) ^ HIGH[low & 0xff];
  LOW[at] = ((low >>> 8) | (high << 24)) ^ LOW[low & 0xff];
}

class Crc64 {
  #high = -1;
  #low = -1;

  update(bytes) {
    let high = this.#high;
    let low = this.#low;
    let at = 0;
    for (; at + 8 <= bytes.length; at += 8) {
      low ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      high ^= bytes[at + 4] | (bytes[at + 5] << 8) | (bytes[at + 6] << 16) | (bytes[at + 7] << 24);
      const a = 1792 + (low & 0xff);
      const b = 1536 + ((low >>> 8) & 0xff);
      const c = 1280 + ((low >>> 16) & 0xff);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 0xff);
      const f = 512 + ((high >>> 8) & 0xff);
      const g = 256 + ((high >>> 16) & 0xff);
      const h = high >>> 24;
      high = HIGH[a] ^ HIGH[b] ^ HIGH[c] ^ HIGH[d] ^ HIGH[e] ^ HIGH[f] ^ HIGH[g] ^ HIGH[h];
      low = LOW[a] ^ LOW[b] ^ LOW[c] ^ LOW[d] ^ LOW[e] ^ LOW[f] ^ LOW[g] ^ LOW[h];
    }
    for (; at < bytes.length; at += 1) {
      const byte = (low ^ bytes[at]) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ LOW[byte];
      high = (high >>> 8) ^ HIGH[byte];
    }
    this.#high = high;
    this.#low = low;
  }

  digest() {
    const digest = Buffer.alloc(8);
    digest.writeInt32LE(~this.#low, 0);
    digest.writeInt32LE(~this.#high, 4);
    return new Uint8Array(digest);
  }
}

// The checksum of the block that a request sends. One that comes with its MD5 is answered with no other checksum.
const sent = new AsyncLocalStorage();

const stage = blocks.stageBlock;
blocks.stageBlock = function (id, length, body, options, context) {
  const call = () => stage.call(this, id, length, body, options, context);
  return options.transactionalContentMD5 || context.request.getHeader("content-md5") ? call() : sent.run(new Crc64(), call);
};

const read = extents.readExtent;
extents.readExtent = async function (...args) {
  return sent.getStore() ? undefined : read.apply(this, args);
};

// As Azurite's own: a checksum is found where the client has sent one, or where it is `force`d.
utils.computeTransactionalChecksums = async (stream, expected, force) => {
  if (sent.getStore()) return { crc64: sent.getStore().digest() };
  const md5 = expected.md5 !== undefined || force?.md5 ? createHash("md5") : undefined;
  const crc64 = expected.crc64 !== undefined || force?.crc64 ? new Crc64() : undefined;
  for await (const chunk of stream) {
    md5?.update(chunk);
    crc64?.update(chunk);
  }
  return { md5: md5 && new Uint8Array(md5.digest()), crc64: crc64?.digest() };
};

// What the bytes that come by this request are to be passed to, if anything.
exports.checksumOfBlock = () => sent.getStore();
