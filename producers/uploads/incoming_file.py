"""A file on its way in."""

import hashlib

from songline.producers.http.problems import RequestDeclinedError
from songline.producers.uploads.staging import BLOCK, StagedFile
from songline.schemas.commands import MAX_SONG_BYTES


class UploadMemory:
    """The bytes that all files on their way in may hold together, beside a block for each."""

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, size: int) -> bool:
        """Whether there was room for it. What is taken must be given back."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def give(self, size: int) -> None:
        self._free += size


class IncomingFile:
    """Hashes a file as it comes, keeps it in memory while it may still go inline, and stages it otherwise."""

    def __init__(self, staged: StagedFile, memory: UploadMemory, room: int, length: int | None) -> None:
        """`room` is the most that goes inline; `length` is what the file has at most, if that is known."""
        self.size = 0
        self._digest = hashlib.sha256()
        self._held = bytearray()
        self._staged = staged
        self._memory = memory
        self._room = room
        self._taken = length if length is not None and BLOCK < length <= room and memory.take(length) else 0
        self._is_staged = self._committed = False

    async def leave(self) -> None:
        """However it ended: what is not committed leaves nothing behind."""
        self._memory.give(self._taken)
        self._taken = 0
        if not self._committed:
            await self._staged.forget()

    async def write(self, piece: bytes) -> None:
        """The next bytes; raises RequestDeclinedError (413) and TransientError."""
        self.size += len(piece)
        if self.size > MAX_SONG_BYTES:
            raise too_large(f"more than {MAX_SONG_BYTES} bytes")
        self._digest.update(piece)
        self._held += piece
        while len(self._held) > max(BLOCK, 0 if self._is_staged else self._taken):
            await self._stage()

    async def end(self) -> None:
        """All of it has come; raises TransientError."""
        while self._held and (self._is_staged or len(self._held) > self._room):
            await self._stage()

    async def commit(self) -> None:
        """After the end: the file stays where it is; raises TransientError."""
        if self._is_staged:
            await self._staged.commit()
        self._committed = True

    @property
    def is_staged(self) -> bool:
        return self._is_staged

    @property
    def body(self) -> bytearray:
        """What goes inline, empty for a file that is staged."""
        return self._held

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def _stage(self) -> None:
        self._is_staged = True
        block = bytes(self._held[:BLOCK])
        del self._held[:BLOCK]
        await self._staged.add(block)


def too_large(seen: str) -> RequestDeclinedError:
    return RequestDeclinedError(
        413, "File too large", f"The file has {seen}, expected at most {MAX_SONG_BYTES // 1_000_000} MB: send less."
    )
