"""The file of the sessions that were signed out: a restart knows them, and tells their issuer what it was not told."""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from songline.api.session.ended_sessions import EndedSession
from songline.api.session.sealing import Sealer
from songline.processes.private_file import write_private
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError

ENDED = "ended"
SPARE_LINES = 1_000
"""The file is written anew when it has so many lines that say nothing any more, and as many as are left."""

_ended = MsgpackDecoder(EndedSession, "not-a-session")


class EndedSessionFile:
    """A line for each change, sealed, since refresh tokens are in them. One process writes it at a time."""

    def __init__(self, file: Path, sealer: Sealer) -> None:
        self._file, self._sealer = file, sealer
        self._lines = 0

    def read(self, now_s: float) -> list[EndedSession]:
        """The sessions that are not over at `now_s`, in order; the last of several about one is how it stands.

        Lines that another key has sealed, or that were not written as a whole, are passed over. Raises OSError.
        """
        try:
            lines = self._file.read_text("ascii", "replace").split("\n")
        except FileNotFoundError:
            return []
        found = [one for line in lines if line and (one := self._opened(line)) is not None]
        self._lines = len(found)
        last = {one.session_id: one for one in found}
        return [one for one in last.values() if one.until_s > now_s]

    def append(self, ended: EndedSession) -> None:
        """Write a change durably. Raises OSError."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self._file, flags, 0o600), "ab") as opened:
            # A line that was cut off by a crash does not take this one along.
            opened.write(f"\n{self._sealed(ended)}\n".encode())
            opened.flush()
            os.fsync(opened.fileno())
        self._lines += 1

    def is_wordy(self, sessions: int) -> bool:
        """Whether most of its lines say nothing any more, where so many `sessions` are known."""
        return self._lines > 2 * sessions + SPARE_LINES

    def write(self, ended: Iterable[EndedSession]) -> None:
        """Write the file anew. Raises OSError."""
        lines = [self._sealed(one) for one in ended]
        write_private(self._file, "".join(f"{line}\n" for line in lines).encode())
        self._lines = len(lines)

    def _sealed(self, ended: EndedSession) -> str:
        return self._sealer.seal(ENDED, msgspec.msgpack.encode(ended))

    def _opened(self, line: str) -> EndedSession | None:
        content = self._sealer.open(ENDED, line)
        try:
            return None if content is None else _ended.decode(content)
        except PoisonError:
            return None
