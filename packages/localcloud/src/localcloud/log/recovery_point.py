"""How far a partition's newest segment was on disk once: what a crash may have cut short lies behind it.

Written after each sync of the segment and not synced itself, it tells too little after a loss of power, and never too
much. Without it a flipped bit in the newest segment would be taken for the end of what a crash left unfinished, and
all behind it would be cut off.
"""

import os
from contextlib import suppress
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812 - struct's own exception has a function's name
from typing import NamedTuple, Self

from crc32c import crc32c

from localcloud.log.errors import DamagedLogError

FILE = "synced"
_BODY = Struct(">8sqq")  # magic, base offset of the segment, bytes
_CRC = Struct(">I")
_MAGIC = b"SLSYNC01"


class RecoveryPoint(NamedTuple):
    """The first `size` bytes of the segment at `base_offset` were synced."""

    base_offset: int
    size: int

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What the partition's folder holds; a point that says nothing where it has none, or one that is cut off."""
        try:
            data = (folder / FILE).read_bytes()
            magic, base_offset, size = _BODY.unpack_from(data)
            (crc,) = _CRC.unpack_from(data, _BODY.size)
        except (FileNotFoundError, StructError):
            return cls(-1, 0)
        return cls(base_offset, size) if magic == _MAGIC and crc == crc32c(data[: _BODY.size]) else cls(-1, 0)

    def synced_in(self, newest: Path) -> int:
        """The bytes that were synced in the newest segment. Raises DamagedLogError where there was a newer one."""
        base_offset = int(newest.stem)
        if base_offset < self.base_offset:
            missing = newest.with_name(f"{self.base_offset:020d}.log")
            raise DamagedLogError(missing, 0, self.base_offset, "the file was written and synced, and is not there")
        return self.size if base_offset == self.base_offset else 0

    def write(self, folder: Path) -> None:
        """In place of the one before. A full disk keeps that: it is still true."""
        body = _BODY.pack(_MAGIC, self.base_offset, self.size)
        with suppress(OSError):
            fd = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.write(fd, body + _CRC.pack(crc32c(body)))
            finally:
                os.close(fd)
