// What a file that has changed on disk is said to be, and how a new name in a folder outlives a loss of power.
"use strict";

const { open } = require("node:fs/promises");

// localcloud puts lines that begin so into its log.
const MARK = "damaged: ";

exports.damaged = (file, fault) => {
  const said = `${file} is damaged: ${fault}. Restore the file, or move its folder away to begin anew.`;
  console.error(`${MARK}${said}`);
  return new Error(said);
};

exports.syncFolder = async (folder) => {
  const opened = await open(folder, "r");
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
};
