"""The configuration of erasures, read once from the environment."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Self

from msgspec import Struct

from songline.cloud.settings import read_number

PREFIX = "SONGLINE_ERASURE_"


class ErasureConfig(Struct, frozen=True):
    """A worker looks every `look` seconds for erasures that are due. `retention_h`: for how many hours the hub
    `music-events` keeps events, which the receipt names."""

    look: float = 30.0
    retention_h: float = 168.0

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The configuration from `SONGLINE_ERASURE_LOOK` and `SONGLINE_ERASURE_RETENTION_H`; raises SettingError."""
        default = cls()
        return cls(
            look=read_number(environ, PREFIX + "LOOK", default.look, (0.1, 3_600)),
            retention_h=read_number(environ, PREFIX + "RETENTION_H", default.retention_h, (0.01, 2_160)),
        )

    @property
    def retention(self) -> timedelta:
        """For how long the hub keeps events."""
        return timedelta(hours=self.retention_h)
