"""`hub.json`: what a hub's folder keeps of the hub itself."""

from pathlib import Path
from typing import Final, Self

import msgspec

from localcloud.config import HubConfig
from localcloud.log.errors import LogOpenError
from localcloud.log.state_file import read_state, write_state

FILE: Final = "hub.json"


class HubFile(msgspec.Struct):
    """The hub's identity (`name`, `created_at_ms`) and shape.

    `declared_partitions` is what the configuration asked for when it was last read (None: it did not name the hub); a
    hub that grew while it was served has more.
    """

    name: str
    created_at_ms: int
    partitions: int
    compacted: bool = False
    retention_ms: int | None = None
    consumer_groups: tuple[str, ...] = ()
    declared_partitions: int | None = None
    append_time: bool = False

    @classmethod
    def of(cls, config: HubConfig, created_at_ms: int, declared: HubConfig | None) -> Self:
        return cls(
            config.name,
            created_at_ms,
            config.partitions,
            config.compacted,
            config.retention_ms,
            config.consumer_groups,
            declared.partitions if declared else None,
            config.append_time,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What the hub's folder holds. Raises `LogOpenError`."""
        path = folder / FILE
        mend = f"move the folder {folder} away to start that hub empty"
        try:
            return read_state(path, cls, mend)
        except FileNotFoundError as error:
            raise LogOpenError(f"{path} can't be read ({error}). Restore it, or {mend}.") from error

    @property
    def config(self) -> HubConfig:
        return HubConfig(
            self.name, self.partitions, self.consumer_groups, self.compacted, self.retention_ms, self.append_time
        )

    def write(self, folder: Path) -> None:
        """Put this in place of what the folder holds, durably, the whole or nothing."""
        write_state(folder / FILE, self)
