// Copies what the dashboard has of others out of node_modules, and notes where it is from and what it hashes to.
"use strict";
const { createHash } = require("node:crypto");
const { copyFileSync, readFileSync, rmSync, mkdirSync, writeFileSync } = require("node:fs");
const { basename, join } = require("node:path");

const TARGET = join(__dirname, "../../projections/dashboard/vendor");
// Package: the file in it, and the name that it gets where its own says too little.
const FILES = {
  uplot: { "dist/uPlot.esm.js": null, "dist/uPlot.min.css": null, LICENSE: "uPlot.LICENSE" },
  "@fontsource-variable/inter": {
    "files/inter-latin-wght-normal.woff2": null,
    "files/inter-latin-ext-wght-normal.woff2": null,
    LICENSE: "inter.LICENSE",
  },
};
const lock = JSON.parse(readFileSync(join(__dirname, "package-lock.json"), "utf8")).packages;

rmSync(TARGET, { recursive: true, force: true });
mkdirSync(TARGET, { recursive: true });
const origin = {};
for (const [name, files] of Object.entries(FILES)) {
  const { version, integrity } = lock[`node_modules/${name}`];
  origin[name] = { version, integrity, files: {} };
  for (const [path, as] of Object.entries(files)) {
    const to = as ?? basename(path);
    copyFileSync(join(__dirname, "node_modules", name, path), join(TARGET, to));
    origin[name].files[to] = createHash("sha256")
      .update(readFileSync(join(TARGET, to)))
      .digest("hex");
  }
}
writeFileSync(join(__dirname, "origin.json"), `${JSON.stringify(origin, null, 2)}\n`);
