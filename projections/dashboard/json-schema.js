// Schemas of a JSON document: what they refer to, and the values that they allow.

/**
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {Schema[]} [anyOf]
 * @property {unknown} [const]
 * @property {unknown[]} [enum]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {string} [format]
 * @property {string} [type]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {string} [description]
 */

const MAX_LISTED = 8;

/**
 * What a node of `document` refers to; the node itself where it is no reference.
 * @template {object} Content
 * @param {object} document
 * @param {Content | { $ref: string }} node
 * @returns {Content}
 */
export function resolve(document, node) {
  const reference = "$ref" in node ? node.$ref : null;
  if (typeof reference !== "string") return /** @type {Content} */ (node);
  /** @type {any} */
  let part = document;
  // RFC 6901: ~1 is a slash, ~0 a tilde.
  for (const name of reference.slice(2).split("/")) part = part[name.replaceAll("~1", "/").replaceAll("~0", "~")];
  return part;
}

/**
 * The values that a schema allows, in words.
 * @param {object} document
 * @param {Schema} schema
 * @returns {string}
 */
export function valuesOf(document, schema) {
  const { anyOf, const: constant, enum: choices, minimum, maximum, format, type } = resolve(document, schema);
  if (anyOf) return anyOf.map((choice) => valuesOf(document, choice)).join(" or ");
  if (constant !== undefined) return JSON.stringify(constant);
  if (choices && choices.length > MAX_LISTED) return `one of ${choices.length}, like ${choices[0]}`;
  if (choices) return choices.map((choice) => JSON.stringify(choice)).join(" or ");
  const range = [minimum !== undefined && `from ${minimum}`, maximum !== undefined && `to ${maximum}`];
  return [format ?? type ?? "anything", range.filter(Boolean).join(" ")].filter(Boolean).join(", ");
}
