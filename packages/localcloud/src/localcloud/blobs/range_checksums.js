// Azurite reads each range of 4 MiB at most once more for its MD5, and tells that only who asks for it ("Get Blob" of the
// Blob service's REST API, x-ms-range-get-content-md5). Here the range is read for its bytes alone where nobody asks.
"use strict";

const { AsyncLocalStorage } = require("node:async_hooks");
const utils = require("azurite/dist/src/common/utils/utils");
const { deserializeRangeHeader } = require("azurite/dist/src/blob/utils/utils");
const blobs = require("azurite/dist/src/blob/handlers/BlobHandler").default.prototype;
const extents = require("azurite/dist/src/common/persistence/FSExtentStore").default.prototype;

// Of each request whose MD5 nobody is told: the stream that Azurite would find it of, which is the answer's then.
const untold = new AsyncLocalStorage();

function isTold(request) {
  if (request.getHeader("x-ms-range-get-content-md5")) return true;
  try {
    return deserializeRangeHeader(request.getHeader("range"), request.getHeader("x-ms-range")) === undefined;
  } catch {
    // Azurite passes over a range that it can't read.
    return true;
  }
}

const download = blobs.downloadBlockBlobOrAppendBlob;
blobs.downloadBlockBlobOrAppendBlob = function (options, context, blob) {
  const answer = () => download.call(this, options, context, blob);
  return isTold(context.request) ? answer() : untold.run({ stream: undefined }, answer);
};

const md5Of = utils.getMD5FromStream;
utils.getMD5FromStream = async (stream) => {
  const request = untold.getStore();
  if (request === undefined) return md5Of(stream);
  request.stream = stream;
  return undefined;
};

for (const name of ["readExtent", "readExtents"]) {
  const read = extents[name];
  extents[name] = async function (...args) {
    const request = untold.getStore();
    if (request?.stream === undefined) return read.apply(this, args);
    const { stream } = request;
    request.stream = undefined;
    return stream;
  };
}
