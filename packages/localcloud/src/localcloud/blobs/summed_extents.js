// A bit that has changed in the bytes of blobs is named when they are read. Beside each of Azurite's files of bytes
// ("extents") is one with a checksum for each megabyte that was appended, synced before the writer is answered. Azurite
// syncs the bytes themselves, and begins new extents when it starts. One of an earlier version is not checked.
"use strict";

const { createHash } = require("node:crypto");
const { createReadStream } = require("node:fs");
const { open, readFile, unlink } = require("node:fs/promises");
const { dirname } = require("node:path");
const { Transform, pipeline } = require("node:stream");
const { crc32 } = require("node:zlib");
const { checksumOfBlock } = require("./block_checksums.js");
const { damaged, syncFolder } = require("./damage.js");
const extents = require("azurite/dist/src/common/persistence/FSExtentStore").default.prototype;

const STEP = 1 << 20;
const LINE = /^(\d+) (\d+) ([0-9a-f]{16}|[0-9a-f]{8})$/;

const beside = (extent) => `${extent}.sums`;
const pathOf = async (store, id) => store.generateExtentPath(await store.getMetadataStore().getExtentLocationId(id), id);
// A CRC-32 names every changed bit, and takes a third of the time of a SHA-256, of which an earlier version kept the begin.
const digest = (crc) => crc.toString(16).padStart(8, "0");
const earlierDigest = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);
const isSumOf = (sum, bytes) => sum === (sum.length === 16 ? earlierDigest(bytes) : digest(crc32(bytes)));

// Passes bytes on, and keeps size and checksum of each STEP of them in `pieces`.
class Summing extends Transform {
  pieces = [];
  #size = 0;
  #crc = 0;
  #block = checksumOfBlock();

  _transform(data, encoding, done) {
    for (let at = 0; at < data.length; ) {
      const part = data.subarray(at, at + STEP - this.#size);
      this.#crc = crc32(part, this.#crc);
      this.#size += part.length;
      at += part.length;
      if (this.#size === STEP) this.#tell();
    }
    this.#block?.update(data);
    done(null, data);
  }

  _flush(done) {
    if (this.#size) this.#tell();
    done();
  }

  #tell() {
    this.pieces.push([this.#size, digest(this.#crc)]);
    this.#size = 0;
    this.#crc = 0;
  }
}

// [offset, size, checksum] of what was appended to extents, by their paths; null for one of an earlier version. Those of
// the extents that were read last: who reads a whole archive reads each once.
const known = new Map();
const KNOWN = 32;

async function sumsOf(extent) {
  const sums = known.has(extent) ? known.get(extent) : await read(beside(extent));
  known.delete(extent);
  known.set(extent, sums);
  if (known.size > KNOWN) known.delete(known.keys().next().value);
  return sums;
}

async function read(file) {
  let text;
  try {
    text = await readFile(file, "latin1");
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
  // A crash leaves a part of a line, of what nobody was answered.
  const lines = text.split("\n").map((line) => LINE.exec(line));
  return lines.filter(Boolean).map(([, offset, size, sum]) => [Number(offset), Number(size), sum]);
}

async function record(extent, offset, pieces) {
  const added = [];
  let at = offset;
  for (const [size, sum] of pieces) {
    added.push([at, size, sum]);
    at += size;
  }
  const file = await open(beside(extent), "a");
  try {
    await file.writeFile(added.map((one) => `${one.join(" ")}\n`).join(""));
    await file.datasync();
  } finally {
    await file.close();
  }
  if (offset === 0) await syncFolder(dirname(extent));
  known.get(extent)?.push(...added);
}

async function check(extent, offset, end) {
  let sums = await sumsOf(extent);
  if (!sums) return;
  let covered = await compare(extent, sums, offset, end);
  if (covered < end) {
    // What was recorded while the file was read is not known. It is in the file before anybody can ask for it.
    known.delete(extent);
    sums = await sumsOf(extent);
    covered = await compare(extent, sums ?? [], offset, end);
  }
  if (covered < end) throw damaged(beside(extent), `it lacks the checksum of bytes ${covered} to ${end}`);
}

// Buffers of a STEP, used again: of new ones for each piece, collecting them would be most of what a read costs.
const spare = [];
const SPARE = 4;

// Compares what is there with `sums`; returns up to where from `offset` on they have all.
async function compare(extent, sums, offset, end) {
  const pieces = sums.filter(([start, size]) => start < end && start + size > offset).sort(([a], [b]) => a - b);
  const file = await open(extent, "r");
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(STEP);
  let covered = offset;
  try {
    for (const [start, size, sum] of pieces) {
      const isWhole = size <= STEP && (await file.read(buffer, 0, size, start)).bytesRead === size;
      if (!isWhole || !isSumOf(sum, buffer.subarray(0, size)))
        throw damaged(extent, `bytes ${start} to ${start + size} are not what was written`);
      if (start <= covered) covered = start + size;
    }
  } finally {
    if (spare.length < SPARE) spare.push(buffer);
    await file.close();
  }
  return covered;
}

// What was appended, and by which request. Azurite reads it back for a checksum of its own, by the same request: what was
// written just now need not be compared.
const written = new WeakMap();

const append = extents.appendExtent;
extents.appendExtent = async function (data, contextId) {
  const summing = new Summing();
  // Where the sender goes away, the append fails too.
  if (Buffer.isBuffer(data)) summing.end(data);
  else pipeline(data, summing, () => {});
  const appended = await append.call(this, summing, contextId);
  if (appended.count) await record(await pathOf(this, appended.id), appended.offset, summing.pieces);
  written.set(appended, contextId);
  return appended;
};

const readOne = extents.readExtent;
extents.readExtent = async function (chunk, contextId) {
  // An id that is no file's is that of zeros.
  const isNew = contextId !== undefined && written.get(chunk) === contextId;
  if (!chunk?.count || isNew || !/^[0-9a-f-]{36}$/.test(chunk.id)) return readOne.call(this, chunk, contextId);
  const extent = await pathOf(this, chunk.id);
  const end = chunk.offset + chunk.count;
  await check(extent, chunk.offset, end);
  return createReadStream(extent, { start: chunk.offset, end: end - 1, highWaterMark: 1 << 18 });
};

const deleteAll = extents.deleteExtents;
extents.deleteExtents = async function (ids) {
  const there = await Promise.all([...ids].filter((id) => !this.isActiveExtent(id)).map((id) => pathOf(this, id)));
  const count = await deleteAll.call(this, ids);
  for (const extent of there) {
    known.delete(extent);
    await unlink(beside(extent)).catch(() => {});
  }
  return count;
};
