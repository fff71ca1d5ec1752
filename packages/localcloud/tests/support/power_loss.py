"""A file layer that knows what was synced, and drops what was not: a loss of power in the middle of anything.

The model of a disk and a journalled file system:

- A file has the content of its last sync; of each block that was written since, the old or the new one is
  there, and of bytes behind the old end perhaps zeros.
- The names in a folder are those of its last sync, or of any moment since, in order: a rename is whole or not there.
- Files that were never synced may be there with nothing in them.
"""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

BLOCK = 512


class PowerLossError(OSError):
    """The power went: no sync, rename and removal after this is done."""


class SyncedDisk:
    """The folder `root` and those in it, as a disk would have them. `steps` counts the moments before and after syncs,
    renames and removals."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: dict[int, int] = {}
        """An open descriptor for each inode: it is not used again as long, and its content can still be had."""
        self._synced: dict[int, bytes] = {}
        self._names: dict[Path, list[dict[str, int]]] = {}
        """By folder: its names at its last sync, and at each moment that was seen since."""
        self._written: dict[int, bytes] | None = None
        self.steps = 0
        self.fails_at: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Every sync, rename and removal of this process is seen. From step `fails_at` on there is no power:
        PowerLossError is raised."""
        with (
            mock.patch.object(os, "fsync", self._step(os.fsync, self.sync_descriptor)),
            mock.patch.object(os, "fdatasync", self._step(os.fdatasync, self.sync_descriptor)),
            mock.patch.object(Path, "unlink", self._step(Path.unlink, self._look)),
            mock.patch.object(Path, "replace", self._step(Path.replace, self._look)),
        ):
            self.sync_all()
            yield

    def sync_all(self) -> None:
        """All that is there is on the disk."""
        self._look()
        for folder, moments in self._names.items():
            self._names[folder] = moments[-1:]
        for inode, descriptor in self._held.items():
            self._synced[inode] = _content(descriptor)

    def sync_descriptor(self, descriptor: int, *_: object) -> None:
        self.sync(Path(f"/proc/self/fd/{descriptor}").readlink())

    def sync(self, path: Path) -> None:
        """A file's content, or a folder's names, are on the disk from now on."""
        if self._written is not None:
            return
        self._look()
        if path in self._names:
            self._names[path] = self._names[path][-1:]
        elif path.is_relative_to(self._root) and path.exists():
            inode = path.stat().st_ino
            self._synced[inode] = _content(self._held[inode])

    def sync_by_sqlite(self, path: Path) -> None:
        """SQLite has synced the file; with a journal it syncs the folder, too, in which it made that."""
        self._fail()
        self.sync(path)
        if path.name.endswith(("-wal", "-journal")):
            self.sync(path.parent)
        self._fail()

    def lose(self, chance: random.Random) -> None:
        """Leave in the folder what a disk may have after the power has gone, and begin anew with that."""
        self._freeze()
        left = {}
        for folder, moments in self._names.items():
            for name, inode in chance.choice(moments).items():
                left[folder / name] = self._survivor(inode, chance)
        for folder in self._names:
            for path in folder.iterdir():
                if path.is_file():
                    path.unlink()
        for path, content in left.items():
            path.write_bytes(content)
        self.close()
        self._synced.clear()
        self._names.clear()
        self._written = None
        self.steps, self.fails_at = 0, None
        self.sync_all()

    def close(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _survivor(self, inode: int, chance: random.Random) -> bytes:
        assert self._written is not None
        old, new = self._synced.get(inode, b""), self._written[inode]
        if (fate := chance.random()) < 0.5:
            return old if fate < 0.25 else new
        size = chance.choice([len(old), len(new), chance.randint(*sorted((len(old), len(new))))])
        found = bytearray()
        for at in range(0, size, BLOCK):
            block = chance.choice([old, new, new])[at : at + BLOCK]
            found += block.ljust(min(BLOCK, size - at), b"\0")[: size - at]
        return bytes(found)

    def _look(self, *_: object, **__: object) -> None:
        """Note the names that every folder has now, while there is power."""
        if self._written is not None:
            return
        for folder in (self._root, *(path for path in self._root.rglob("*") if path.is_dir())):
            names = {}
            for entry in os.scandir(folder):
                if entry.is_file():
                    names[entry.name] = entry.inode()
                    if entry.inode() not in self._held:
                        self._held[entry.inode()] = os.open(entry.path, os.O_RDONLY)
            moments = self._names.setdefault(folder, [{}])
            if moments[-1] != names:
                moments.append(names)

    def _freeze(self) -> None:
        """What has been written when the power goes; what a process does after that never was."""
        if self._written is None:
            self._look()
            self._written = {inode: _content(descriptor) for inode, descriptor in self._held.items()}

    def _step(self, real: Callable[..., Any], then: Callable[..., None]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            self._look()
            self._fail()
            done = real(*arguments, **options)
            then(*arguments)
            self._fail()
            return done

        return step

    def _fail(self) -> None:
        self.steps += 1
        if self.fails_at is not None and self.steps >= self.fails_at:
            self._freeze()
            raise PowerLossError(errno.EIO, "the power went")


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
