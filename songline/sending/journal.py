"""The journal of `songline upload`, a line of JSON for each step, so that no file is sent twice."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import State


class FileSighting(Struct, frozen=True):
    """A file at one moment: absolute path, size in bytes, and time of its last modification in nanoseconds."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileSighting":
        """The sighting of `path` now; raises OSError."""
        status = path.stat()
        return cls(readable(path.resolve()), status.st_size, status.st_mtime_ns)


class JournalEntry(Struct, frozen=True):
    """A file that `api` accepted as `ingestion` under the Idempotency-Key `key`; `state` is the last known one."""

    file: FileSighting
    sha256: str
    api: str
    key: str
    ingestion: str
    state: State


_entries = Decoder(JournalEntry, "not-an-entry")


def readable(path: Path) -> str:
    """The path as text. A byte that is not UTF-8, as names on disk may have, is written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class UploadJournal:
    """The journal in the file `path`. A line that a crash cut off is skipped: the next run finds out the same again."""

    def __init__(self, path: Path) -> None:
        """Read the file if it exists; raises OSError."""
        self._path = path
        self._hashes: dict[FileSighting, str] = {}
        self._entries: dict[tuple[str, str], JournalEntry] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                try:
                    self._remember(_entries.decode(line))
                except PoisonError:
                    continue

    def sha256(self, file: FileSighting) -> str | None:
        """The recorded SHA-256 of the file, in hex, if it is unchanged since; else None."""
        return self._hashes.get(file)

    def find(self, api: str, key: str) -> JournalEntry | None:
        """The last entry for `key` at `api`."""
        return self._entries.get((api, key))

    def record(self, entry: JournalEntry) -> None:
        """Append the entry; it is on disk when this returns. Raises OSError."""
        self._remember(entry)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A line feed on both sides: the line before may have been cut off.
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write(b"\n" + msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _remember(self, entry: JournalEntry) -> None:
        self._hashes[entry.file] = entry.sha256
        self._entries[entry.api, entry.key] = entry
