"""A file that is being uploaded: hashed, and held in memory or staged."""

import hashlib

from songline.producers.http.problems import RequestDeclinedError
from songline.producers.uploads.held_bytes import HeldBytes
from songline.producers.uploads.staging import BLOCK, StagedFile
from songline.schemas.commands import MAX_SONG_BYTES

INLINE = 1024 * 1024
"""The most bytes of a file that is sent in its command: the SDK copies a message's body more than once."""


class IncomingFile:
    """Hashes a file as it comes. Stages it block by block, unless it is small enough to be sent inline.

    `room` is the most bytes of a body that the link takes.
    """

    def __init__(self, staged: StagedFile, room: int) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._held = HeldBytes()
        self._staged = staged
        self._inline = min(room, INLINE)
        self._is_staged = self._committed = False

    async def leave(self) -> None:
        """Delete staged blocks if the file was not committed. Call it in any case."""
        if not self._committed:
            await self._staged.forget()

    async def write(self, piece: bytes) -> None:
        """Take the next bytes; raises RequestDeclinedError (413) and TransientError."""
        self.size += len(piece)
        if self.size > MAX_SONG_BYTES:
            raise too_large(f"more than {MAX_SONG_BYTES} bytes")
        self._digest.update(piece)
        self._held.add(piece)
        if self._held.size > BLOCK:
            await self._stage()

    async def end(self) -> None:
        """Stage what is left of a file that doesn't go inline; raises TransientError."""
        if self._held.size and (self._is_staged or self._held.size > self._inline):
            await self._stage()

    async def commit(self) -> None:
        """Commit a staged file, after `end`; raises TransientError."""
        if self._is_staged:
            await self._staged.commit()
        self._committed = True

    @property
    def is_staged(self) -> bool:
        """Whether the file is in Blob Storage."""
        return self._is_staged

    @property
    def body(self) -> bytes:
        """The bytes of an inline file; empty for a staged file."""
        return self._held.joined()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, in hex."""
        return self._digest.hexdigest()

    async def _stage(self) -> None:
        self._is_staged = True
        block, self._held = self._held, HeldBytes()
        await self._staged.add(block.pieces)


def too_large(seen: str) -> RequestDeclinedError:
    return RequestDeclinedError(
        413, "File too large", f"The file has {seen}, expected at most {MAX_SONG_BYTES // 1_000_000} MB: send less."
    )
