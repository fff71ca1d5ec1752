// Azurite's Blob service, which ends together with the process that holds its standard input: the kernel closes that
// pipe however its holder ended. Closing in good order matters, since Azurite writes its index only every few seconds.
"use strict";

// A quarter of its start is compiling what it requires. NODE_PATH is the folder that has Azurite.
require("node:module").enableCompileCache(`${process.env.NODE_PATH}/.cache`);
// Each namespace that is opened at run time has an account of its own, under the key of the declared one.
const accounts = require("azurite/dist/src/common/AccountDataStore").default.prototype;
const { EMULATOR_ACCOUNT_NAME } = require("azurite/dist/src/common/utils/constants");
const declared = accounts.getAccount;
accounts.getAccount = function (name) {
  const found = declared.call(this, name);
  if (found || !/^ns[0-9a-f]{16}$/.test(name)) return found;
  return { ...declared.call(this, EMULATOR_ACCOUNT_NAME), name };
};
// Azurite listens to signals a while after it listens to clients.
const end = () => process.emit("SIGTERM") || setTimeout(end, 50);
process.stdin.on("end", end).resume();
require("azurite/dist/src/blob/main.js");
