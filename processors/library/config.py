"""How much the library worker may hold and do at a time, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from songline.cloud.settings import read_number

PREFIX = "SONGLINE_LIBRARY_"


class LibraryConfig(Struct, frozen=True):
    """`writes`: how many listeners are written at a time. `buffer`: how many acts may wait to be written. `room`: about
    how many documents may be remembered."""

    writes: int = 16
    buffer: int = 20_000
    room: int = 100_000

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """`SONGLINE_LIBRARY_` and the dial's name in capitals; raises SettingError."""
        usual = cls()
        return cls(
            writes=int(read_number(environ, PREFIX + "WRITES", usual.writes, (1, 1_000))),
            buffer=int(read_number(environ, PREFIX + "BUFFER", usual.buffer, (1, 1_000_000))),
            room=int(read_number(environ, PREFIX + "ROOM", usual.room, (0, 10_000_000))),
        )
