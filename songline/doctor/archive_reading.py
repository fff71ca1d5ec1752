"""Reads what the doctor says of the archive: its newest files, and where the hub is. Needs the extra `history`."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime, timedelta

from azure.core.exceptions import ResourceNotFoundError

from songline.cloud import blobs
from songline.cloud.settings import EventHubsSettings, ServiceBusSettings, read_blobs
from songline.doctor.archive import NEWEST_FILES
from songline.doctor.facts import ArchiveFacts
from songline.processors.history.archive.blob_files import ArchiveFile, ArchiveFiles, FileBytes
from songline.processors.history.archive.errors import Hole
from songline.processors.history.archive.extent import PartitionExtent
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.history.archive.name_format import SUFFIX
from songline.processors.history.archive.opening import open_history, read_archive

MAX_OTHERS = 1_000


class NewestFiles:
    """The newest NEWEST_FILES of each partition, of `files` as they were listed."""

    def __init__(self, files: ArchiveFiles, listed: list[ArchiveFile] | None) -> None:
        self._files = files
        by_partition: dict[str, list[ArchiveFile]] = defaultdict(list)
        for one in listed or ():
            by_partition[one.name.partition].append(one)
        self.older = {partition: len(found) > NEWEST_FILES for partition, found in by_partition.items()}
        newest = [one for found in by_partition.values() for one in found[-NEWEST_FILES:]]
        self._listed = None if listed is None else sorted(newest, key=lambda one: (one.name, one.path))

    async def list(self) -> list[ArchiveFile] | None:
        """The files, by moment and partition; None where there is no container."""
        return self._listed

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        """See ArchiveFiles."""
        return await self._files.read_part(path, start, size, etag)

    def download(self, path: str) -> FileBytes:
        """See ArchiveFiles."""
        return self._files.download(path)


async def read_archive_facts(
    environ: Mapping[str, str], hub: EventHubsSettings, bus: ServiceBusSettings, now: datetime
) -> ArchiveFacts:
    """The facts of the archive. Raises SettingError, AzureError, EventHubError and HubUnreadableError."""
    container = read_archive(environ).container
    # Microsoft's emulator of Service Bus has no management over HTTPS; localcloud has.
    if hub.plaintext and bus.management is None:
        return ArchiveFacts(container, is_there=False, can_capture=False)
    async with open_history(environ) as history:
        listed = await history.files.list()
        files = NewestFiles(history.files, listed)
        recent = HubHistory(files, history.tail, skip=True)
        extents = await asyncio.gather(*[recent.extent(one) for one in await recent.partitions()])
        others = await _others(environ, container)
        oldest = await asyncio.gather(*[_oldest_s(history.tail, one) for one in extents])
    day = [one for one in listed or () if now - one.name.moment <= timedelta(days=1)]
    waiting_since = [second for second in oldest if second is not None]
    return ArchiveFacts(
        container,
        is_there=listed is not None,
        can_capture=True,
        files=len(listed or ()),
        size_bytes=sum(one.size_bytes for one in listed or ()),
        day_files=len(day),
        day_bytes=sum(one.size_bytes for one in day),
        holes=tuple(str(hole) for one in extents for hole in one.holes if _is_known(hole, files)),
        damages=tuple(str(damage) for one in extents for damage in one.damages),
        others=others,
        waiting=sum(one.waiting or 0 for one in extents),
        oldest_s=max(0.0, now.timestamp() - min(waiting_since)) if waiting_since else None,
    )


async def _others(environ: Mapping[str, str], container: str) -> tuple[str, ...]:
    """The blobs that are no Avro files by their names: Capture writes none. The first MAX_OTHERS."""
    found: list[str] = []
    async with blobs.client(read_blobs(environ)) as account:
        try:
            async for blob in account.get_container_client(container).list_blobs():
                if not blob.name.endswith(SUFFIX):
                    found.append(blob.name)
                    if len(found) >= MAX_OTHERS:
                        break
        except ResourceNotFoundError:
            return ()
    return tuple(found)


def _is_known(hole: Hole, files: NewestFiles) -> bool:
    """Whether nobody has these events. What is before the newest files is in older ones."""
    return hole.before is not None or not files.older.get(hole.partition, False)


async def _oldest_s(tail: HubTail | None, extent: PartitionExtent) -> int | None:
    """When the hub took the first event that is in no file, in Unix seconds; None where all are."""
    if tail is None or not extent.waiting or extent.hub_last is None or extent.hub_first is None:
        return None
    first = max(extent.hub_first, extent.hub_last - extent.waiting + 1)
    async with aclosing(tail.read(extent.partition, first, first)) as found:
        async for records in found:
            return None if isinstance(records, int) else records.enqueued_s[0]
    return None
