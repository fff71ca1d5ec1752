"""How the ingestion worker may be tuned, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from songline.cloud.settings import read_number

_PREFIX = "SONGLINE_INGESTION_"


class IngestionConfig(Struct, frozen=True):
    """`port`: where health is served on 127.0.0.1, 0 for a free port; `lanes`: how many songs to work on at a time;
    `stall`: after how many seconds a command that waits for a service is told as not ready.
    """

    port: int = 0
    lanes: int = 4
    stall: float = 30.0

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """`SONGLINE_INGESTION_` and the dial's name in capitals; raises SettingError."""
        usual = cls()
        return cls(
            port=int(read_number(environ, _PREFIX + "PORT", usual.port, (0, 65_535))),
            lanes=int(read_number(environ, _PREFIX + "LANES", usual.lanes, (1, 64))),
            stall=read_number(environ, _PREFIX + "STALL", usual.stall, (1, 3_600)),
        )
