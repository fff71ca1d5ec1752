"""All hubs of the namespace in one folder: `hubs/NAME/hub.json` and a folder of segments for each partition."""

import asyncio
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from localcloud.config import HubConfig
from localcloud.log.errors import CannotOpen, HubExists, InvalidHubName, UnknownHub
from localcloud.log.partition import LogSettings, PartitionLog, sync_folder

log = logging.getLogger(__name__)

DEFAULT_GROUP = "$default"
MAINTENANCE_SECONDS = 30.0
_HUB_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,254}[A-Za-z0-9_])?", re.ASCII)


class _HubFile(msgspec.Struct):
    """What `hub.json` keeps of a hub: what must never change under its data."""

    name: str
    created_at_ms: int
    partitions: int
    compacted: bool = False
    retention_ms: int | None = None
    consumer_groups: tuple[str, ...] = ()


class Hub:
    """One event hub. `consumer_groups` are lower-case and always hold `$default`."""

    def __init__(self, config: HubConfig, created_at_ms: int, partitions: Sequence[PartitionLog]) -> None:
        self.name = config.name
        self.config = config
        self.created_at_ms = created_at_ms
        self.partitions = tuple(partitions)
        self.consumer_groups = frozenset({DEFAULT_GROUP, *(group.lower() for group in config.consumer_groups)})


class LogStore:
    """The hubs of one namespace. One process at a time may have a folder open.

    As a context manager it also keeps house (`maintain`) and closes itself.
    """

    def __init__(self, folder: Path, lock: IO[bytes], now_ms: Callable[[], int], segment_bytes: int) -> None:
        self.folder = folder
        self._lock = lock
        self._now_ms = now_ms
        self._segment_bytes = segment_bytes
        self._executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="log")
        self._hubs: dict[str, Hub] = {}
        self._internal: dict[str, PartitionLog] = {}

    @classmethod
    def open(
        cls,
        folder: Path,
        hubs: Sequence[HubConfig],
        now_ms: Callable[[], int],
        *,
        segment_bytes: int = 64 << 20,
    ) -> "LogStore":
        """Open the folder, recover every partition and create the declared hubs that are missing.

        Raises `CannotOpen` when another process has the folder, or when a hub's declaration contradicts what is there.
        """
        hubs_folder = folder / "hubs"
        hubs_folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, _locked(folder), now_ms, segment_bytes)
        try:
            declared = {config.name.lower(): config for config in hubs}
            for path in sorted(hubs_folder.iterdir()):
                if path.name.startswith("."):  # a creation or deletion that a crash cut short
                    shutil.rmtree(path)
                else:
                    store._open_hub(path, declared.get(path.name))
            for config in hubs:
                if config.name.lower() not in store._hubs:
                    store.create_hub(config)
        except BaseException:
            store._release()
            raise
        return store

    def hub(self, name: str) -> Hub:
        """The hub of that name, in whatever case. Raises `UnknownHub`."""
        try:
            return self._hubs[name.lower()]
        except KeyError:
            raise UnknownHub(name) from None

    def hubs(self) -> list[Hub]:
        return list(self._hubs.values())

    def check_new(self, config: HubConfig) -> None:
        """Raises what `create_hub` would."""
        if not _HUB_NAME.fullmatch(config.name):
            raise InvalidHubName(config.name)
        if config.name.lower() in self._hubs:
            raise HubExists(config.name)

    def create_hub(self, config: HubConfig) -> Hub:
        """Create a hub, durably. Raises `HubExists`, `InvalidHubName`."""
        self.check_new(config)
        key = config.name.lower()
        parent = self.folder / "hubs"
        fresh = parent / f".new-{key}"
        shutil.rmtree(fresh, ignore_errors=True)
        for number in range(config.partitions):
            (fresh / str(number)).mkdir(parents=True)
        created_at_ms = self._now_ms()
        _write_hub_file(fresh, config, created_at_ms)
        fresh.rename(parent / key)
        sync_folder(parent)
        return self._opened(parent / key, config, created_at_ms)

    def delete_hub(self, name: str) -> None:
        """Remove a hub and everything in it. Raises `UnknownHub`."""
        hub = self.hub(name)
        del self._hubs[name.lower()]
        for partition in hub.partitions:
            partition.drop()
        parent = self.folder / "hubs"
        gone = parent / f".deleted-{name.lower()}"
        shutil.rmtree(gone, ignore_errors=True)
        (parent / name.lower()).rename(gone)
        sync_folder(parent)
        shutil.rmtree(gone, ignore_errors=True)

    def internal(self, name: str) -> PartitionLog:
        """A compacted log beside the hubs, that no client sees: for what the endpoints themselves must remember."""
        if name not in self._internal:
            settings = LogSettings(segment_bytes=4 << 20, compacted=True, tombstone_ms=0)
            self._internal[name] = PartitionLog.open(
                self.folder / "internal" / name, settings, self._executor, self._now_ms
            )
        return self._internal[name]

    async def maintain(self, every_seconds: float = MAINTENANCE_SECONDS) -> None:
        """Keep retention and compaction going until cancelled. A partition's failure is logged and tried again."""
        while True:
            await asyncio.sleep(every_seconds)
            for partition in self._partitions():
                try:
                    await partition.maintain()
                except OSError:
                    log.exception("%s: maintenance failed, will be tried again", partition.folder)

    async def close(self) -> None:
        """Return when everything that was taken is on disk, and let go of the folder."""
        await asyncio.gather(*(partition.close() for partition in self._partitions()))
        self._release()

    async def __aenter__(self) -> "LogStore":
        self._upkeep = asyncio.create_task(self.maintain())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._upkeep.cancel()
        await asyncio.wait((self._upkeep,))
        await self.close()

    def _partitions(self) -> list[PartitionLog]:
        return [partition for hub in self._hubs.values() for partition in hub.partitions] + list(
            self._internal.values()
        )

    def _open_hub(self, path: Path, declared: HubConfig | None) -> None:
        try:
            kept = msgspec.json.decode((path / "hub.json").read_bytes(), type=_HubFile)
        except (OSError, msgspec.DecodeError) as error:
            raise CannotOpen(
                f"{path / 'hub.json'} can't be read ({error}). Restore it, or move the folder {path} away to start "
                "that hub empty."
            ) from error
        if declared is not None and declared.partitions != kept.partitions:
            raise CannotOpen(
                f"Event hub {declared.name!r} has {kept.partitions} partitions on disk and {declared.partitions} in "
                f"the configuration. Partition counts can't change, since keys would move between partitions: set "
                f"PartitionCount back to {kept.partitions}, give the hub another name, or remove {path} and its events."
            )
        config = declared or HubConfig(
            kept.name, kept.partitions, kept.consumer_groups, kept.compacted, kept.retention_ms
        )
        self._opened(path, config, kept.created_at_ms)

    def _opened(self, path: Path, config: HubConfig, created_at_ms: int) -> Hub:
        settings = LogSettings(segment_bytes=self._segment_bytes, compacted=config.compacted)
        if config.compacted:
            settings = settings._replace(segment_bytes=min(self._segment_bytes, 8 << 20))
        elif config.retention_ms is not None:
            roll_ms = min(settings.roll_ms, max(60_000, config.retention_ms // 8))
            settings = settings._replace(retention_ms=config.retention_ms, roll_ms=roll_ms)
        partitions = [
            PartitionLog.open(path / str(number), settings, self._executor, self._now_ms)
            for number in range(config.partitions)
        ]
        hub = self._hubs[config.name.lower()] = Hub(config, created_at_ms, partitions)
        return hub

    def _release(self) -> None:
        self._executor.shutdown(wait=True)
        self._lock.close()


def _locked(folder: Path) -> IO[bytes]:
    lock = (folder / "lock").open("a+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().decode(errors="replace").strip() or "unknown"
        lock.close()
        raise CannotOpen(
            f"Another process (id {holder}) has the data folder {folder} open. Stop it, or choose another folder."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()
    return lock


def _write_hub_file(folder: Path, config: HubConfig, created_at_ms: int) -> None:
    kept = _HubFile(
        config.name, created_at_ms, config.partitions, config.compacted, config.retention_ms, config.consumer_groups
    )
    with (folder / "hub.json").open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept)))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
