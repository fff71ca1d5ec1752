"""What `songline upload` has sent, so that it sends nothing twice: a line of JSON for each step, as it is made."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import State


class FileSighting(Struct, frozen=True):
    """A file as it lay there: absolute path, size in bytes, and when it was last written, in nanoseconds."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileSighting":
        """Raises OSError."""
        status = path.stat()
        return cls(readable(path.resolve()), status.st_size, status.st_mtime_ns)


class JournalEntry(Struct, frozen=True):
    """A file was accepted as `ingestion`, sent with the Idempotency-Key `key` to `api`; `state` is the last known."""

    file: FileSighting
    sha256: str
    api: str
    key: str
    ingestion: str
    state: State


_entries = Decoder(JournalEntry, "not-an-entry")


def readable(path: Path) -> str:
    """The path as text. A byte that is not UTF-8, as names on disk may have, is told as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class UploadJournal:
    """The file `path`. A line that a crash cut off is passed over: what it told is found out again."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
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
        """What the file hashed to when it lay there like this."""
        return self._hashes.get(file)

    def find(self, api: str, key: str) -> JournalEntry | None:
        return self._entries.get((api, key))

    def record(self, entry: JournalEntry) -> None:
        """On disk when this returns; raises OSError."""
        self._remember(entry)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A line feed on both sides: the line before may have been cut off.
        with self._path.open("ab") as file:
            file.write(b"\n" + msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _remember(self, entry: JournalEntry) -> None:
        self._hashes[entry.file] = entry.sha256
        self._entries[entry.api, entry.key] = entry
