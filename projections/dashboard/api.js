// The API client: JSON of the API, by the paths and types of its OpenAPI document.

import { session } from "./session.js";

/** @import { GetAnswers, ParameterNames } from "./types.d.ts" */

/** The API answered with another status than 200, or not at all (status 0). The message is the problem's own. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }

  /**
   * An ApiError of whatever was thrown; a fault of the page itself has the status 0.
   * @param {unknown} thrown
   */
  static of(thrown) {
    if (thrown instanceof ApiError) return thrown;
    return new ApiError(0, thrown instanceof Error ? thrown.message : String(thrown));
  }
}

/**
 * What GET answers. Throws an ApiError.
 * @template {keyof GetAnswers} Path
 * @param {Path} path
 * @param {Record<ParameterNames<Path>, string>} parameters
 * @param {Record<string, string>} [query]
 * @returns {Promise<GetAnswers[Path]>}
 */
export function get(path, parameters, query = {}) {
  return getJson(address(path, parameters, query));
}

/**
 * The JSON at an address that the API gave. Throws an ApiError.
 * @param {string} href
 */
export async function getJson(href) {
  let response;
  try {
    response = await fetch(href, { headers: { Accept: "application/json" } });
  } catch {
    throw new ApiError(0, "The API can't be reached.");
  }
  if (response.ok) return response.json();
  throw await errorOf(response);
}

/**
 * Sends a write without a body, as the user who is signed in. Throws an ApiError.
 * @param {"POST" | "PUT" | "DELETE"} method
 * @param {string} path
 * @param {Record<string, string>} parameters
 */
export async function send(method, path, parameters) {
  let response;
  try {
    response = await fetch(address(path, parameters, {}), { method, headers: session.writeHeaders });
  } catch {
    throw new ApiError(0, "The API can't be reached.");
  }
  if (!response.ok) throw await errorOf(response);
}

/**
 * What the API says of a request that it refuses.
 * @param {Response} response
 */
async function errorOf(response) {
  // The session may have ended, which the page shows then.
  if (response.status === 401) session.refresh();
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  return new ApiError(response.status, problem.detail);
}

/**
 * @param {string} path
 * @param {Record<string, string>} parameters
 * @param {Record<string, string>} query
 */
function address(path, parameters, query) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parameters[name] ?? ""));
  const search = new URLSearchParams(query).toString();
  return search ? `${filled}?${search}` : filled;
}

/**
 * What the API says of a request that it did not accept.
 * @param {XMLHttpRequest} request
 * @returns {string}
 */
export function problemOf({ status, responseText }) {
  const otherwise = `The API answered with the status ${status}.`;
  try {
    return JSON.parse(responseText).detail ?? otherwise;
  } catch {
    // The page of a proxy is no JSON.
    return otherwise;
  }
}
