// Azurite's indexes as pieces of text. lokijs asks a function about each field of each document, whether it is one of its
// own that can't be written, by name: that takes most of the time of writing, and forgets metadata of a blob that has such
// a name ("ttl"). Here documents are written as they are, some at a time: as one text, each index that is written would
// take as much room in the heap as all documents.
"use strict";

const loki = require("lokijs").prototype;

const PLACE = "\u0000whole";
const WHOLE = new Set(["data", "binaryIndices"]);
const DOCUMENTS = 128;

function* pieces(value) {
  if (!Array.isArray(value)) {
    yield JSON.stringify(value);
    return;
  }
  for (let at = 0; at < value.length; at += DOCUMENTS) {
    yield `${at ? "," : "["}${JSON.stringify(value.slice(at, at + DOCUMENTS)).slice(1, -1)}`;
  }
  yield value.length ? "]" : "[]";
}

// What the adapter gets to write: a list of texts that follow one another.
loki.serialize = function () {
  const collections = new Set(this.collections);
  const { serializeReplacer } = this;
  const whole = [];
  const text = JSON.stringify(this, function (key, value) {
    if (!WHOLE.has(key) || !collections.has(this)) return serializeReplacer(key, value);
    whole.push(value);
    return PLACE;
  });
  const [begin, ...others] = text.split(JSON.stringify(PLACE));
  return [begin, ...others.flatMap((part, at) => [...pieces(whole[at]), part])];
};
