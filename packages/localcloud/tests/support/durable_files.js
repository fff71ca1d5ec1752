// Required before a Node program, keeps beside its files what a loss of power would leave of them: SHADOW_FOLDER has
// the bytes that were synced, by inode, and the names that were synced with their folder. Linux only.
"use strict";

const fs = require("node:fs");
const { join } = require("node:path");

const shadow = process.env.SHADOW_FOLDER;

// What is there before a sync is there after it; what comes meanwhile may not be.
function seen(fd) {
  const stat = fs.fstatSync(fd);
  const path = fs.readlinkSync(`/proc/self/fd/${fd}`);
  if (stat.isDirectory()) {
    const names = {};
    for (const name of fs.readdirSync(path)) {
      const found = fs.statSync(join(path, name), { throwIfNoEntry: false });
      if (found) names[name] = { inode: found.ino, isFolder: found.isDirectory() };
    }
    return [`folder-${stat.ino}`, JSON.stringify(names)];
  }
  if (!stat.isFile()) return null;
  const bytes = Buffer.alloc(stat.size);
  const reading = fs.openSync(`/proc/self/fd/${fd}`, "r");
  fs.readSync(reading, bytes, 0, stat.size, 0);
  fs.closeSync(reading);
  return [`file-${stat.ino}`, bytes];
}

function keep(found) {
  if (!found) return;
  const [name, content] = found;
  fs.writeFileSync(join(shadow, `${name}~`), content);
  fs.renameSync(join(shadow, `${name}~`), join(shadow, name));
}

for (const name of ["fsync", "fdatasync"]) {
  const sync = fs[name];
  fs[name] = (fd, done) => {
    const found = seen(fd);
    sync(fd, (error) => {
      if (!error) keep(found);
      done(error);
    });
  };
}
fs.promises.open("/dev/null").then((handle) => {
  const handles = Object.getPrototypeOf(handle);
  for (const name of ["sync", "datasync"]) {
    const sync = handles[name];
    handles[name] = async function () {
      const found = seen(this.fd);
      await sync.call(this);
      keep(found);
    };
  }
  return handle.close();
});
