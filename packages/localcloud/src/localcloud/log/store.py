"""All hubs of the namespace in one folder: `hubs/NAME/hub.json` and a folder of segments for each partition."""

import asyncio
import contextlib
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

from localcloud.config import HUB_NAME, HubConfig
from localcloud.disk import Refusals, is_full
from localcloud.log.commits import Commits
from localcloud.log.errors import (
    DamagedLogError,
    HubExistsError,
    InvalidHubNameError,
    LogOpenError,
    PartitionCountError,
    UnknownHubError,
)
from localcloud.log.hub_file import HubFile
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud.log.segment_files import sync_folder

log = logging.getLogger(__name__)

DEFAULT_GROUP = "$default"
MAINTENANCE_SECONDS = 30.0
SEGMENT_BYTES = 64 << 20
_NEW, _DELETED = ".new", ".deleted"
"""Folders of a hub that is being created or deleted. A name of its own would be longer than the longest of hubs."""
_HUB_NAME = re.compile(HUB_NAME, re.ASCII)


def is_hub_name(name: str) -> bool:
    """Whether an event hub can have that name: Event Hubs' rule, which is narrower than Kafka's for topics."""
    return _HUB_NAME.fullmatch(name) is not None


class Hub:
    """One event hub. `consumer_groups` are lower-case and always hold `$default`; `partitions` grow, never shrink.

    `created_at_ms` (Unix ms) stays over restarts and growth; a hub made anew under the same name has a later one.
    """

    def __init__(self, config: HubConfig, created_at_ms: int, partitions: Sequence[PartitionLog]) -> None:
        self.name = config.name
        self.config = config
        self.created_at_ms = created_at_ms
        self.partitions = tuple(partitions)
        self.consumer_groups = frozenset({DEFAULT_GROUP, *(group.lower() for group in config.consumer_groups)})

    def grow(self, added: Sequence[PartitionLog]) -> None:
        """Have more partitions, after those that are there."""
        self.partitions += tuple(added)
        self.config = msgspec.structs.replace(self.config, partitions=len(self.partitions))


class LogStore:
    """The hubs of one namespace. One process at a time may have a folder open.

    As a context manager it also runs `maintain`, and closes itself.
    """

    def __init__(self, folder: Path, lock: IO[bytes], now_ms: Callable[[], int], segment_bytes: int) -> None:
        self.folder = folder
        self._lock = lock
        self._now_ms = now_ms
        self._segment_bytes = segment_bytes
        self._executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="log")
        self._commits = Commits(self._executor)
        self._hubs: dict[str, Hub] = {}
        self._declared: dict[str, HubConfig] = {}
        self._deleted_at_ms: dict[str, int] = {}
        self._internal: dict[str, PartitionLog] = {}
        self._refusals = Refusals("Event Hubs")
        self._watchers: list[Callable[[], None]] = []

    @classmethod
    def open(
        cls,
        folder: Path,
        hubs: Sequence[HubConfig],
        now_ms: Callable[[], int],
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> "LogStore":
        """Open the folder, recover every partition, create the declared hubs that are missing, and grow those that
        are declared with more partitions.

        Raises `LogOpenError` when another process has the folder, or when a hub is declared with fewer partitions.
        """
        hubs_folder = folder / "hubs"
        hubs_folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, _locked(folder), now_ms, segment_bytes)
        try:
            declared = store._declared = {config.name.lower(): config for config in hubs}
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
        """The hub of that name, in whatever case. Raises `UnknownHubError`."""
        try:
            return self._hubs[name.lower()]
        except KeyError:
            raise UnknownHubError(name) from None

    def hubs(self) -> list[Hub]:
        return list(self._hubs.values())

    def watch(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, in the loop, when a hub was created, grown or deleted."""
        self._watchers.append(callback)

    def check_new(self, config: HubConfig) -> None:
        """Raises what `create_hub` would."""
        if not is_hub_name(config.name):
            raise InvalidHubNameError(config.name)
        if config.name.lower() in self._hubs:
            raise HubExistsError(config.name)

    def create_hub(self, config: HubConfig) -> Hub:
        """Create a hub, durably. Raises `HubExistsError`, `InvalidHubNameError`."""
        self.check_new(config)
        key = config.name.lower()
        parent = self.folder / "hubs"
        fresh = parent / _NEW
        shutil.rmtree(fresh, ignore_errors=True)
        for number in range(config.partitions):
            (fresh / str(number)).mkdir(parents=True)
        created_at_ms = max(self._now_ms(), self._deleted_at_ms.get(key, 0) + 1)
        HubFile.of(config, created_at_ms, self._declared.get(key)).write(fresh)
        fresh.rename(parent / key)
        sync_folder(parent)
        hub = self._opened(parent / key, config, created_at_ms)
        self._changed()
        return hub

    def check_growth(self, name: str, partitions: int) -> Hub:
        """The hub of that name. Raises what `grow_hub` would."""
        hub = self.hub(name)
        if partitions <= len(hub.partitions):
            raise PartitionCountError(
                f"Event hub {hub.name!r} has {len(hub.partitions)} partitions; expected more than that, not "
                f"{partitions}: a hub can grow, but partitions that hold events can't be taken away."
            )
        return hub

    def grow_hub(self, name: str, partitions: int) -> Hub:
        """Give a hub more partitions, durably; they begin empty. Raises `UnknownHubError`, `PartitionCountError`."""
        hub = self.check_growth(name, partitions)
        path = self.folder / "hubs" / name.lower()
        before = len(hub.partitions)
        grown = msgspec.structs.replace(hub.config, partitions=partitions)
        added = self._open_partitions(path, grown, before)
        # The folders first: a crash before the count is written leaves them empty, for the next growth.
        sync_folder(path)
        HubFile.of(grown, hub.created_at_ms, self._declared.get(name.lower())).write(path)
        hub.grow(added)
        log.info("event hub %s has grown from %d to %d partitions", hub.name, before, partitions)
        self._changed()
        return hub

    def declaration(self, name: str) -> HubConfig | None:
        """What the configuration says about a hub of that name, whether it is there or not."""
        return self._declared.get(name.lower())

    def delete_hub(self, name: str) -> None:
        """Remove a hub and everything in it. Raises `UnknownHubError`."""
        hub = self.hub(name)
        self._deleted_at_ms[name.lower()] = max(hub.created_at_ms, self._now_ms())
        del self._hubs[name.lower()]
        for partition in hub.partitions:
            partition.drop()
        self._changed()
        parent = self.folder / "hubs"
        gone = parent / _DELETED
        shutil.rmtree(gone, ignore_errors=True)
        (parent / name.lower()).rename(gone)
        sync_folder(parent)
        shutil.rmtree(gone, ignore_errors=True)

    def internal(self, name: str) -> PartitionLog:
        """A compacted log beside the hubs, that no client sees: for what the endpoints themselves must remember."""
        if name not in self._internal:
            settings = LogSettings(segment_bytes=4 << 20, compacted=True, tombstone_ms=0)
            self._internal[name] = PartitionLog.open(
                self.folder / "internal" / name, settings, self._commits, self._now_ms, self._refusals
            )
        return self._internal[name]

    async def maintain(self, every_seconds: float = MAINTENANCE_SECONDS) -> None:
        """Keep retention and compaction going until cancelled. A partition's failure is logged and tried again."""
        while True:
            await asyncio.sleep(every_seconds)
            for partition in self._partitions():
                try:
                    await partition.maintain()
                except OSError as error:
                    if is_full(error):
                        self._refusals.refused(error, f"what compaction keeps of {partition.folder}")
                    else:
                        log.exception("%s: maintenance failed, will be tried again", partition.folder)
                except DamagedLogError:
                    pass  # it is logged, and what is left of the segments stays as it is

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

    def _changed(self) -> None:
        for callback in self._watchers:
            callback()

    def _partitions(self) -> list[PartitionLog]:
        return [partition for hub in self._hubs.values() for partition in hub.partitions] + list(
            self._internal.values()
        )

    def _open_hub(self, path: Path, declared: HubConfig | None) -> None:
        kept = HubFile.read(path)
        if declared is None:
            self._opened(path, kept.config, kept.created_at_ms)
            return
        at_least = kept.declared_partitions or kept.partitions
        if declared.partitions < at_least:
            raise LogOpenError(
                f"Event hub {declared.name!r} has {kept.partitions} partitions on disk and {declared.partitions} in "
                "the configuration. A hub can grow, but partitions that hold events can't be taken away: set "
                f"PartitionCount back to {at_least}, give the hub another name, or remove {path} and its events."
            )
        partitions = max(declared.partitions, kept.partitions)
        config = msgspec.structs.replace(declared, partitions=partitions)
        self._opened(path, config, kept.created_at_ms)
        if partitions > kept.partitions or declared.partitions != kept.declared_partitions:
            sync_folder(path)
            HubFile.of(config, kept.created_at_ms, declared).write(path)
        if partitions > kept.partitions:
            log.info("event hub %s has grown from %d to %d partitions", kept.name, kept.partitions, partitions)

    def _opened(self, path: Path, config: HubConfig, created_at_ms: int) -> Hub:
        hub = self._hubs[config.name.lower()] = Hub(config, created_at_ms, self._open_partitions(path, config, 0))
        return hub

    def _open_partitions(self, path: Path, config: HubConfig, first: int) -> list[PartitionLog]:
        """The partitions from number `first` on, by what `config` says of the hub."""
        settings = LogSettings(
            segment_bytes=self._segment_bytes, compacted=config.compacted, append_time=config.append_time
        )
        if config.compacted:
            settings = settings._replace(segment_bytes=min(self._segment_bytes, 8 << 20))
        elif config.retention_ms is not None:
            roll_ms = min(settings.roll_ms, max(60_000, config.retention_ms // 8))
            settings = settings._replace(retention_ms=config.retention_ms, roll_ms=roll_ms)
        return [
            PartitionLog.open(path / str(number), settings, self._commits, self._now_ms, self._refusals)
            for number in range(first, config.partitions)
        ]

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
        raise LogOpenError(
            f"Another process (id {holder}) has the data folder {folder} open. Stop it, or choose another folder."
        ) from None
    # The process id is for the message above; on a full disk it can't be written.
    with contextlib.suppress(OSError):
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), str(os.getpid()).encode())
    return lock
