"""How much the library worker holds and does at a time, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from songline.cloud.settings import read_number

PREFIX = "SONGLINE_LIBRARY_"


class LibraryConfig(Struct, frozen=True):
    """`writes`: how many shelves are written at a time. `buffer`: how many actions may wait to be written: two
    seconds of 5,000 events/s, since what waits once is memory for good. `room`: about how many kilobytes of memory the
    nodes take that are cached."""

    writes: int = 16
    buffer: int = 10_000
    room: int = 8_000

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The configuration in `environ`: `SONGLINE_LIBRARY_` and a field's name in capitals. Raises SettingError."""
        default = cls()
        return cls(
            writes=int(read_number(environ, PREFIX + "WRITES", default.writes, (1, 1_000))),
            buffer=int(read_number(environ, PREFIX + "BUFFER", default.buffer, (1, 1_000_000))),
            room=int(read_number(environ, PREFIX + "ROOM", default.room, (0, 10_000_000))),
        )
