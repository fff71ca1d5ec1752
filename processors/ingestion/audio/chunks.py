"""Chunks of RIFF, RF64, Wave64 and IFF files: a name, a length, and what is in it.

Sources: "Multimedia Programming Interface and Data Specifications 1.0" (RIFF), EBU Tech 3306 (RF64), Sony's "Wave64",
EA IFF 85.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal, NamedTuple

from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off

Order = Literal["little", "big"]
PLACEHOLDERS = range(0x7F00_0000, 2**64)
"""Lengths that no file of ours can have: what a recorder writes that does not know yet how long it will record."""


class Chunk(NamedTuple):
    name: bytes
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


def chunks(file: BinaryIO, start: int, end: int, order: Order) -> Iterator[Chunk]:
    """The chunks between `start` and `end`; `offset` is where a chunk's content begins."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        chunk = Chunk(head[:4], start + 8, int.from_bytes(head[4:], order))
        yield chunk
        start = chunk.end + chunk.size % 2


def is_name(name: bytes) -> bool:
    """Whether these four bytes can be a chunk's name."""
    return all(0x20 <= octet < 0x7F for octet in name)


def sound_size(file: BinaryIO, sound: Chunk, end: int, order: Order) -> int:
    """The bytes of sound in `sound`, of a file that ends at `end`.

    Where the chunk does not say how long it is (it has a placeholder, or 0 with sound behind it), its writer died or
    could not go back: all that follows is sound. Raises InvalidAudioError (cut-off).
    """
    if sound.size in PLACEHOLDERS or (sound.size == 0 and not _is_chain(file, sound.offset, end, order)):
        return max(0, end - sound.offset)
    if sound.end > end:
        raise cut_off(sound.end, end)
    return sound.size


def check_behind(parts: Iterable[Chunk], sound: Chunk, form_end: int, end: int) -> None:
    """Raise InvalidAudioError (cut-off) where a chunk behind the sound is not whole, of a file that ends at `end`.

    What stands behind the end of the form, or has no name, is no chunk: players pass over it.
    """
    for part in parts:
        is_chunk = part.offset - 8 < form_end and is_name(part.name)
        if part.offset > sound.offset and part.end > end and is_chunk:
            raise cut_off(part.end, end)


def _is_chain(file: BinaryIO, start: int, end: int, order: Order) -> bool:
    """Whether only whole chunks stand between `start` and `end`."""
    last = start
    for chunk in chunks(file, start, end, order):
        if not is_name(chunk.name) or chunk.end > end:
            return False
        last = chunk.end + chunk.size % 2
    return last >= end


def missing(what: str) -> InvalidAudioError:
    return InvalidAudioError("corrupt", f"The file is damaged: the part that should hold {what} is not there.")
