// Required before a Node program, makes the sync of a folder take a second: what waits for it is overtaken.
"use strict";

const fs = require("node:fs");
const { setTimeout } = require("node:timers/promises");

fs.promises.open("/dev/null").then((handle) => {
  const handles = Object.getPrototypeOf(handle);
  const sync = handles.sync;
  handles.sync = async function () {
    if ((await this.stat()).isDirectory()) await setTimeout(1_000);
    await sync.call(this);
  };
  return handle.close();
});
