"""What processes write, kept in a file for each; a disk that is full stops nothing and is told once."""

import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

MAX_LOG_BYTES = 10_000_000
QUIET_S = 5.0
"""So long no line may have failed before room is told of: a full disk has room for short lines now and then."""


class _File(Struct):
    """A log file: its descriptor while it is open, and whether its last line was cut off."""

    path: Path
    descriptor: int | None = None
    size: int = 0
    cut: bool = False


class ServiceLogs:
    """The files `NAME.log` in `folder`, each with one older file beside it. `tell` gets a line when they can't be
    written, and one when they can be again; what came meanwhile is not kept, only counted. `clock` gives seconds."""

    def __init__(
        self, folder: Path, tell: Callable[[str], None], clock: Callable[[], float], max_bytes: int = MAX_LOG_BYTES
    ) -> None:
        self._folder = folder
        self._tell = tell
        self._clock = clock
        self._max_bytes = max_bytes
        self._files: dict[str, _File] = {}
        self._failed_at: float | None = None
        self._lost = 0

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def write(self, name: str, line: str) -> None:
        """Add `line` to the file of `name`. Raises nothing."""
        file = self._files.setdefault(name, _File(self.path(name)))
        try:
            self._append(file, line.encode(errors="replace") + b"\n")
        except OSError as error:
            self._close(file)
            self._lost += 1
            if self._failed_at is None:
                what = f"{type(error).__name__}: {error.strerror or error}"
                self._tell(f"logs in {self._folder} can't be written ({what}); lines are lost until they can be")
            self._failed_at = self._clock()
        else:
            self.check()

    def check(self) -> None:
        """Tell that lines are kept again, once none has failed for a while."""
        if self._failed_at is not None and self._clock() - self._failed_at >= QUIET_S:
            lost, self._lost, self._failed_at = self._lost, 0, None
            self._tell(f"logs in {self._folder} are written again; {lost:,} lines of them were lost")

    def close(self) -> None:
        for file in self._files.values():
            self._close(file)

    def _append(self, file: _File, data: bytes) -> None:
        if file.descriptor is not None and file.size + len(data) > self._max_bytes:
            self._close(file)
            file.path.replace(file.path.with_name(f"{file.path.name}.1"))
        if file.descriptor is None:
            file.descriptor = os.open(file.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            file.size = os.fstat(file.descriptor).st_size
        if file.cut:
            data = b"\n" + data
        # Of what is cut off, the next attempt gets the reason from the system.
        while data:
            written = os.write(file.descriptor, data)
            file.size += written
            data = data[written:]
            file.cut = bool(data)

    def _close(self, file: _File) -> None:
        if file.descriptor is not None:
            os.close(file.descriptor)
            file.descriptor = None
