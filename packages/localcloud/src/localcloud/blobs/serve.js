// Azurite's Blob service, which ends together with the process that holds its standard input: the kernel closes that
// pipe however its holder ended. Closing in good order matters, since Azurite writes its index only every few seconds.
"use strict";

// A quarter of its start is compiling what it requires. NODE_PATH is the folder that has Azurite.
const Module = require("node:module");
Module.enableCompileCache(`${process.env.NODE_PATH}/.cache`);
// Azurite loads the SDK of its telemetry where that is turned off too, and clients of databases where its indexes are
// files, as they are here, whatever the environment says. That is most of its start, and half of its memory.
for (const unused of ["applicationinsights", "azurite/dist/src/blob/SqlBlobServer"]) {
  const file = require.resolve(unused);
  require.cache[file] = Object.assign(new Module(file), { loaded: true, exports: {} });
}
delete process.env.AZURITE_DB;
require("./index_pieces.js");
require("./synced_index.js");
require("./summed_extents.js");
require("./range_checksums.js");
require("./block_checksums.js");
require("./acknowledged.js");
// Each namespace that is opened at run time has an account of its own, under the key of the declared one.
const accounts = require("azurite/dist/src/common/AccountDataStore").default.prototype;
const { EMULATOR_ACCOUNT_NAME } = require("azurite/dist/src/common/utils/constants");
const declared = accounts.getAccount;
accounts.getAccount = function (name) {
  const found = declared.call(this, name);
  if (found || !/^ns[0-9a-f]{16}$/.test(name)) return found;
  return { ...declared.call(this, EMULATOR_ACCOUNT_NAME), name };
};
// Azurite looks at a token's times, issuer and audience, and not at its signature: without this, everybody on the
// machine could write a token of their own.
const tokens = require("azurite/dist/src/blob/authentication/BlobTokenAuthenticator").default.prototype;
const { createPublicKey } = require("node:crypto");
const { readFileSync } = require("node:fs");
const jsonwebtoken = require("jsonwebtoken");
const errors = require("azurite/dist/src/blob/errors/StorageErrorFactory").default;
const checked = tokens.authenticateBasic;
tokens.authenticateBasic = async function (token, context) {
  const good = await checked.call(this, token, context);
  try {
    const { kid } = jsonwebtoken.decode(token, { complete: true }).header;
    const { keys } = JSON.parse(readFileSync(process.env.LOCALCLOUD_JWKS, "utf-8"));
    const key = createPublicKey({ key: keys.find((one) => one.kid === kid), format: "jwk" });
    jsonwebtoken.verify(token, key, { algorithms: ["RS256", "ES256"], ignoreExpiration: true });
  } catch {
    throw errors.getAuthenticationFailed(context.contextId, "Signature validation failed.");
  }
  return good;
};
// Azurite listens to signals a while after it listens to clients.
const end = () => process.emit("SIGTERM") || setTimeout(end, 50);
process.stdin.on("end", end).resume();
require("azurite/dist/src/blob/main.js");
