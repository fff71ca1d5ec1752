"""Log files of processes, one for each. A full disk stops no process and is reported once."""

import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

MAX_LOG_BYTES = 10_000_000
QUIET_S = 5.0
"""Seconds without a failed write before recovery is reported: a full disk takes a short line now and then."""


class _File(Struct):
    """A log file: its descriptor while it is open, and whether its last line was cut off."""

    path: Path
    descriptor: int | None = None
    size: int = 0
    cut: bool = False


class ServiceLogs:
    """The files `NAME.log` in `folder`, each with one older file `NAME.log.1`.

    `echo` shows a line when the files can't be written, and one when they can be written again. Lines in between are
    counted and lost. `clock` returns seconds.
    """

    def __init__(
        self, folder: Path, echo: Callable[[str], None], clock: Callable[[], float], max_bytes: int = MAX_LOG_BYTES
    ) -> None:
        self._folder = folder
        self._echo = echo
        self._clock = clock
        self._max_bytes = max_bytes
        self._files: dict[str, _File] = {}
        self._failed_at: float | None = None
        self._lost = 0

    def path(self, name: str) -> Path:
        """The log file of the process `name`."""
        return self._folder / f"{name}.log"

    def write(self, name: str, line: str) -> None:
        """Append `line` to the file of `name`. Raises nothing."""
        file = self._files.setdefault(name, _File(self.path(name)))
        try:
            self._append(file, line.encode(errors="replace") + b"\n")
        except OSError as error:
            self._close(file)
            self._lost += 1
            if self._failed_at is None:
                what = f"{type(error).__name__}: {error.strerror or error}"
                self._echo(f"logs in {self._folder} can't be written ({what}); lines are lost until they can be")
            self._failed_at = self._clock()
        else:
            self.check()

    def check(self) -> None:
        """Report recovery when no write has failed for QUIET_S seconds."""
        if self._failed_at is not None and self._clock() - self._failed_at >= QUIET_S:
            lost, self._lost, self._failed_at = self._lost, 0, None
            self._echo(f"logs in {self._folder} are written again; {lost:,} lines of them were lost")

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            self._close(file)

    def _append(self, file: _File, data: bytes) -> None:
        if file.descriptor is not None and file.size + len(data) > self._max_bytes:
            self._close(file)
            file.path.replace(file.path.with_name(f"{file.path.name}.1"))
        if file.descriptor is None:
            file.descriptor = os.open(file.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            file.size = os.fstat(file.descriptor).st_size
        if file.cut:
            data = b"\n" + data
        # After a partial write, the next attempt raises the error.
        while data:
            written = os.write(file.descriptor, data)
            file.size += written
            data = data[written:]
            file.cut = bool(data)

    def _close(self, file: _File) -> None:
        if file.descriptor is not None:
            os.close(file.descriptor)
            file.descriptor = None
