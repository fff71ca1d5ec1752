"""The names under which a worker owns partitions, in a file that is locked for as long as its process lives.

The process that locks the file next knows that the one before is gone, and need not wait until its claims expire. That
holds on one machine: where a folder is shared, each machine may have locks of its own.
"""

import fcntl
import logging
import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

WORKERS = 16
"""So many workers of one kind may use a folder. More of them run without a file."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class OwnerFile:
    """The file of one process on `machine`, None where it has none. `earlier` are the owners that are gone."""

    def __init__(self, file: BinaryIO | None, machine: str) -> None:
        self._file = file
        self._machine = machine
        self._own: list[str] = []
        self.earlier: frozenset[str] = frozenset()
        if file is not None:
            file.seek(0)
            written_on, *owners = file.read().decode("utf-8", "replace").split() or [""]
            # Of a process on another machine nothing is known.
            self.earlier = frozenset(owners if written_on == machine else ())

    def record(self, owners: Collection[str]) -> None:
        """Return once `owners` are in the file. It outlives the process, not the machine, which needs no more."""
        if fresh := [one for one in owners if one not in self._own]:
            self._own += fresh
            self._write([*self.earlier, *self._own])

    def forget_earlier(self) -> None:
        """Remove the owners that are gone, once they own nothing any more."""
        self.earlier = frozenset()
        self._write(self._own)

    def forget_own(self) -> None:
        """Remove the owners of this process, which own nothing any more. `earlier` stay for the next process."""
        self._own = []
        self._write(self.earlier)

    def _write(self, owners: Collection[str]) -> None:
        if self._file is None:
            return
        try:
            self._file.seek(0)
            self._file.write("".join(f"{one}\n" for one in (self._machine, *owners)).encode())
            self._file.truncate()
            self._file.flush()
        except OSError as error:
            # The disk is full: the next process waits until the claims of this one expire.
            log.warning("the owner of partitions can't be written to a file: %s", error)
            os.ftruncate(self._file.fileno(), 0)


def running_machine() -> str:
    """A name of this machine since it was started, which its containers share and no other machine has."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        # Linux alone has it. An address of its network card tells machines apart too.
        return f"{uuid.getnode():x}"


@contextmanager
def hold_owner_file(folder: Path | None, worker: str, machine: str) -> Iterator[OwnerFile]:
    """Hold the first file of `worker` in `folder` that no living process holds, while the context lasts. Without a
    folder, or where it can't be written, nothing is kept. After an error the next process looks what is still owned,
    if it is on the same `machine`."""
    file = None if folder is None else _lock_first(folder, worker)
    if file is None:
        yield OwnerFile(None, machine)
        return
    with file:
        owners = OwnerFile(file, machine)
        yield owners
        # Its partitions are released by then; those of the process before are not, where this one was stopped early.
        owners.forget_own()


def _lock_first(folder: Path, worker: str) -> BinaryIO | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(WORKERS):
            descriptor = os.open(folder / f"{worker}-{number}.txt", os.O_RDWR | os.O_CREAT, 0o600)
            file = os.fdopen(descriptor, "r+b", buffering=0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return file
    except OSError as error:
        log.warning("owners of partitions are not kept in %s: %s", folder, error)
    return None
