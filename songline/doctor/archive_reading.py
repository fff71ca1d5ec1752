"""Reads what the doctor says of the archive: its files, and where the hub is. Needs the extra `history`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from songline.cloud import blobs
from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.settings import EventHubsSettings, ServiceBusSettings, read_blobs
from songline.doctor.facts import ArchiveFacts
from songline.doctor.known_files import LookedAtFiles
from songline.processors.history.archive.blob_files import ArchiveFile
from songline.processors.history.archive.extent import PartitionExtent
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.history.archive.opening import open_files, open_history, read_archive
from songline.processors.history.index.index_blobs import IndexBlobs
from songline.processors.history.index.manifest import IndexedFile
from songline.schemas.channels import ARCHIVE_INDEX_BLOBS


async def read_archive_facts(
    environ: Mapping[str, str], hub: EventHubsSettings, bus: ServiceBusSettings, now: datetime, *, every_file: bool
) -> ArchiveFacts:
    """The facts of the archive. Raises SettingError, AzureError, EventHubError and HubUnreadableError."""
    container = read_archive(environ).container
    # Microsoft's emulator of Service Bus has no management over HTTPS; localcloud has.
    if hub.plaintext and bus.management is None:
        return ArchiveFacts(container, is_there=False, can_capture=False)
    async with open_history(environ) as history, open_files(environ, hub) as files:
        listing = await files.survey()
        listed = None if listing is None else listing.files
        indexed = await _read_index(environ, listed or ())
        looked_at = LookedAtFiles(files, listed, indexed, every=every_file)
        seen = HubHistory(looked_at, history.tail, skip=True)
        seen.know(one.facts_of(file) for file in listed or () if (one := indexed.get((file.path, file.etag))))
        extents = await gather_or_cancel([seen.extent(one) for one in await seen.partitions()])
        oldest = await gather_or_cancel(_oldest_s(history.tail, one) for one in extents)
    day = [one for one in listed or () if now - one.name.moment <= timedelta(days=1)]
    waiting_since = [second for second in oldest if second is not None]
    return ArchiveFacts(
        container,
        is_there=listed is not None,
        can_capture=True,
        files=len(listed or ()),
        looked_at=looked_at.count,
        size_bytes=sum(one.size_bytes for one in listed or ()),
        day_files=len(day),
        day_bytes=sum(one.size_bytes for one in day),
        holes=(
            *(str(hole) for one in extents for hole in one.holes if looked_at.is_sure(hole)),
            *_lacking(indexed.values()),
        ),
        damages=tuple(str(damage) for one in extents for damage in one.damages),
        others=() if listing is None else listing.others,
        waiting=sum(one.waiting or 0 for one in extents),
        oldest_s=max(0.0, now.timestamp() - min(waiting_since)) if waiting_since else None,
    )


async def _read_index(environ: Mapping[str, str], listed: Sequence[ArchiveFile]) -> dict[tuple[str, str], IndexedFile]:
    """What the index knows of the files as they are, by path and ETag."""
    there = {(one.path, one.etag) for one in listed}
    async with blobs.client(read_blobs(environ)) as account:
        index = IndexBlobs(account.get_container_client(ARCHIVE_INDEX_BLOBS))
        manifests = [await index.read_manifest(one) for one in sorted({file.name.partition for file in listed})]
    files = (file for found in manifests if found is not None for file in found[0].files)
    return {key: file for file in files if (key := (file.path, file.etag)) in there}


def _lacking(indexed: Iterable[IndexedFile]) -> Iterator[str]:
    """A sentence for each file that lacks positions between its first and last one, and is not damaged."""
    for one in indexed:
        if one.range is not None and one.damage is None and one.count < (size := one.range.last - one.range.first + 1):
            positions = f"{one.range.first} to {one.range.last}"
            yield f"{one.path} has positions {positions}, of which {size - one.count:,} are missing"


async def _oldest_s(tail: HubTail | None, extent: PartitionExtent) -> int | None:
    """When the hub took the first event that is in no file, in Unix seconds; None where all are."""
    if tail is None or not extent.waiting or extent.hub_last is None or extent.hub_first is None:
        return None
    first = max(extent.hub_first, extent.hub_last - extent.waiting + 1)
    async with aclosing(tail.read(extent.partition, first, first)) as found:
        async for records in found:
            return None if isinstance(records, int) else records.enqueued_s[0]
    return None
