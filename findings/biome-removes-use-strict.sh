#!/bin/bash
# Biome's safe fixes take "use strict" out of CommonJS scripts: it reads a .js file as an ES module unless the nearest
# package.json says "type": "commonjs". Node reads the same file as CommonJS when package.json says nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix tool --ignore-scripts @biomejs/biome@2.6.8
biome=tool/node_modules/.bin/biome
"$biome" --version
node --version

cat > sloppy.js <<'JS'
"use strict";
const { basename } = require("node:path");
try {
  undeclared = basename("/a/b");
  console.log("assigned to an undeclared variable: the script is sloppy");
} catch (error) {
  console.log(`${error.name}: the script is strict`);
}
JS

run() {
  mkdir -p "$1"
  cp sloppy.js "$1/script.js"
  printf '%s\n' "$2" > "$1/package.json"
  echo "== package.json: $2"
  echo "before: $(node "$1/script.js")"
  "$biome" check --write "$1/script.js" > "$1/log" 2>&1 || true
  echo "first line after biome check --write: $(head -1 "$1/script.js")"
  echo "after:  $(node "$1/script.js" 2>&1)"
}

run untyped '{ "private": true }'
run typed '{ "private": true, "type": "commonjs" }'

grep -q "use strict" typed/script.js || { echo "changed: the directive is gone with type commonjs too"; exit 1; }
if grep -q "use strict" untyped/script.js; then echo "changed: the directive stays without a type"; exit 1; fi
node untyped/script.js | grep -q sloppy || { echo "changed: the script stayed strict"; exit 1; }
echo "as found: a safe fix changes what a CommonJS script does"
