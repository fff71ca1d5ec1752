"""`hub.json`: what a hub's folder keeps of the hub itself."""

import os
from pathlib import Path
from typing import Self

import msgspec

from localcloud.config import HubConfig
from localcloud.log.errors import LogOpenError
from localcloud.log.segment_files import sync_folder


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
        try:
            return msgspec.json.decode((folder / "hub.json").read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise LogOpenError(
                f"{folder / 'hub.json'} can't be read ({error}). Restore it, or move the folder {folder} away to start "
                "that hub empty."
            ) from error

    @property
    def config(self) -> HubConfig:
        return HubConfig(
            self.name, self.partitions, self.consumer_groups, self.compacted, self.retention_ms, self.append_time
        )

    def write(self, folder: Path) -> None:
        """Put this in place of what the folder holds, durably, the whole or nothing."""
        fresh = folder / "hub.json-new"
        with fresh.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / "hub.json")
        sync_folder(folder)
