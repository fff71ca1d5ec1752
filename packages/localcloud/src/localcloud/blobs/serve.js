// Azurite's Blob service, which ends together with the process that holds its standard input: the kernel closes that
// pipe however its holder ended. Closing in good order matters, since Azurite writes its index only every few seconds.
"use strict";

// A quarter of its start is compiling what it requires.
require("node:module").enableCompileCache(`${__dirname}/node_modules/.cache`);
// Azurite listens to signals a while after it listens to clients.
const end = () => process.emit("SIGTERM") || setTimeout(end, 50);
process.stdin.on("end", end).resume();
require("azurite/dist/src/blob/main.js");
