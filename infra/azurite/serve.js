// Azurite's Blob service, which ends together with the process that holds its standard input: the kernel closes that
// pipe however its holder ended. Closing in good order matters, since Azurite writes its index only every few seconds.
"use strict";

process.stdin.on("end", () => process.emit("SIGTERM")).resume();
require("azurite/dist/src/blob/main.js");
