"""The configuration of the ingestion worker, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from songline.cloud.settings import read_host, read_number

_PREFIX = "SONGLINE_INGESTION_"


class IngestionConfig(Struct, frozen=True):
    """The worker's configuration.

    `port` of the address `host` serves health, 0 takes a free port. `lanes` is the number of songs in work at a time. A
    command that waits for a service for `stall` seconds makes the worker not ready.
    """

    port: int = 0
    lanes: int = 4
    stall: float = 30.0
    host: str = "127.0.0.1"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The configuration from `SONGLINE_INGESTION_` and a field's name in capitals; raises SettingError."""
        default = cls()
        return cls(
            port=int(read_number(environ, _PREFIX + "PORT", default.port, (0, 65_535))),
            lanes=int(read_number(environ, _PREFIX + "LANES", default.lanes, (1, 64))),
            stall=read_number(environ, _PREFIX + "STALL", default.stall, (1, 3_600)),
            host=read_host(environ, _PREFIX + "HOST"),
        )
