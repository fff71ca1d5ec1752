"""The index of an archive: made of each file once, when it is first asked for, and asked for a listener's events."""

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.history.archive.avro_blocks import BlockError, read_block, read_header
from songline.processors.history.archive.capture_records import RecordReader
from songline.processors.history.archive.generations import PlacedFile
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.index.coverage import Stretch, coverage_of
from songline.processors.history.index.index_blobs import IndexStore
from songline.processors.history.index.manifest import IndexedFile, IndexSegment, Manifest
from songline.processors.history.index.moment_seek import MomentSeek
from songline.processors.history.index.segment import (
    IndexedSpan,
    SegmentHead,
    hash_listener,
    head_bytes,
)
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.progress import lasting_position

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Parts of files that are read at the same time."""
TRIES = 20
"""How often another process may write the index first."""


class ListenerEvent(Struct, frozen=True):
    """An event of a listener: its partition, its lasting position there, the Unix second at which the hub took it."""

    partition: str
    position: int
    enqueued_s: int
    body: bytes


class ListenerHistory(Struct, frozen=True):
    """A listener's events, by partition and position; and the lasting position of the last event of each partition,
    whoever it is of, -1 for none."""

    events: list[ListenerEvent]
    positions: dict[str, int]


class _ReadStretch(Struct, frozen=True):
    """What was read of a stretch, and the lasting position of the last event in it; `is_whole`: up to its end."""

    events: list[ListenerEvent]
    last: int
    is_whole: bool


class ArchiveIndex:
    """The index over the archive of `history`, in `blobs`.

    Methods raise AzureError and EventHubError, and what reading the history raises. Nothing is kept for good but in
    `blobs`; the heads of segments stay in memory.
    """

    def __init__(
        self,
        history: HubHistory,
        blobs: IndexStore,
        random: Callable[[int], bytes] = os.urandom,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._history = history
        self._blobs = blobs
        self._random = random
        self._new_id = new_id
        self._manifests: dict[str, tuple[Manifest, str | None]] = {}
        self._heads: dict[str, SegmentHead] = {}

    async def listener_history(self, user_id: str, until_s: int | None = None) -> ListenerHistory:
        """The listener's events that keep the contract: those before the first one that the hub took at the Unix second
        `until_s` or later, and without it all up to the hub's end."""
        partitions = await self._history.partitions()
        found = await gather_or_cancel(self._tried(one, user_id, until_s) for one in partitions)
        positions = {partition: last for partition, (_, last) in zip(partitions, found, strict=True)}
        return ListenerHistory([event for events, _ in found for event in events], positions)

    async def update(self, partition: str) -> list[PlacedFile]:
        """Put the files into the index that are not in it yet; return all files of the partition as they are now."""
        for _ in range(TRIES):
            files = [one for one in await self._history.files.list() or () if one.name.partition == partition]
            manifest = await self._read(partition)
            missing = manifest.missing(files)
            if not missing:
                self._history.know(manifest.facts(files))
                return await self._history.placed(partition)
            if not await self._claim(partition):
                continue
            # Nobody waits for numpy where all files are known.
            from songline.processors.history.index.new_files import add_files

            await add_files(
                self._history.files, self._blobs, partition, self._manifests[partition], missing, self._new_id
            )
        raise RuntimeError(f"the index of partition {partition} is written by others all the time")

    async def update_all(self) -> None:
        """Put all files into the index that are not in it yet. What is known of them need not be read again."""
        await gather_or_cancel([self.update(one) for one in await self._history.partitions()])

    async def recall(self) -> None:
        """Tell the history what the index knows of its files, without adding any."""
        files = await self._history.files.list() or ()
        for partition in {one.name.partition for one in files}:
            manifest = await self._read(partition)
            self._history.know(manifest.facts(one for one in files if one.name.partition == partition))

    async def drop(self) -> None:
        """Delete the index. It is made anew when it is asked for."""
        await self._blobs.drop()
        self._manifests.clear()
        self._heads.clear()

    async def _tried(self, partition: str, user_id: str, until_s: int | None) -> tuple[list[ListenerEvent], int]:
        for _ in range(TRIES):
            with suppress(ResourceModifiedError, ResourceNotFoundError):
                return await self._events(partition, user_id, until_s)
            self._history.files.forget_listing()
            # A file was written anew between listing and reading it, or another process joined segments.
        return await self._events(partition, user_id, until_s)

    async def _events(self, partition: str, user_id: str, until_s: int | None) -> tuple[list[ListenerEvent], int]:
        """The listener's events of a partition, and the lasting position of its last event."""
        placed = await self.update(partition)
        manifest, _ = self._manifests[partition]
        covered = coverage_of(placed, manifest, until_s)
        looked_up = await self._looked_up(partition, manifest, covered.files, user_id)
        events = {one.position: one for one in looked_up if until_s is None or one.enqueued_s < until_s}
        last = await self._last_in(manifest, covered.files, until_s)
        for stretch in covered.stretches:
            read = await self._read_stretch(partition, stretch, user_id, until_s)
            events |= {one.position: one for one in read.events}
            if not read.is_whole:
                # It ended at the moment. What is behind is later, whatever its own times say.
                events = {at: one for at, one in events.items() if stretch.stop is None or at < stretch.stop}
                last = read.last
                break
            last = max(last, read.last)
        return [events[position] for position in sorted(events)], last

    async def _last_in(self, manifest: Manifest, files: Sequence[PlacedFile], until_s: int | None) -> int:
        """The lasting position of the last event in files that the index knows as whole, -1 for none."""
        known = {(one.path, one.etag): one for one in manifest.files}

        async def last_in(placed: PlacedFile) -> int:
            assert placed.range is not None
            if until_s is None or placed.range.last_s < until_s:
                return placed.last
            indexed = known[placed.file.path, placed.file.etag]
            header = read_header(manifest.headers[indexed.header] + indexed.sync)
            assert header is not None

            async def read(at: int, size: int) -> bytes:
                return await self._history.files.read_part(indexed.path, at, size, indexed.etag)

            last = await MomentSeek(header, placed.file.size_bytes, read).last_before(until_s)
            return -1 if last is None else lasting_position(placed.generation, last)

        return max(await gather_or_cancel(map(last_in, files)), default=-1)

    async def _read_stretch(self, partition: str, stretch: Stretch, user_id: str, until_s: int | None) -> _ReadStretch:
        """The listener's events in a stretch of the history."""
        found: list[ListenerEvent] = []
        last = stretch.after
        async with aclosing(self._history.read(partition, stretch.after, until_s)) as reading:
            async for batch in reading:
                for position, second, body in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True):
                    if stretch.stop is not None and position >= stretch.stop:
                        return _ReadStretch(found, last, is_whole=True)
                    last = position
                    if is_of_listener(body, user_id):
                        found.append(ListenerEvent(partition, position, second, body))
        return _ReadStretch(found, last, is_whole=stretch.stop is None)

    async def _looked_up(
        self, partition: str, manifest: Manifest, placed: Sequence[PlacedFile], user_id: str
    ) -> list[ListenerEvent]:
        by_key = {(one.file.path, one.file.etag): one for one in placed}
        hashed = hash_listener(user_id, manifest.key)
        wanted: list[tuple[IndexedFile, PlacedFile, IndexedSpan]] = []
        for segment in manifest.segments:
            for span in await self._spans(segment, hashed):
                indexed = segment.files[span.file]
                file = by_key.get((indexed.path, indexed.etag))
                if file is not None:
                    wanted.append((indexed, file, span))
        limit = asyncio.Semaphore(AT_ONCE)

        async def read(indexed: IndexedFile, file: PlacedFile, span: IndexedSpan) -> list[ListenerEvent]:
            async with limit:
                data = await self._history.files.read_part(indexed.path, span.at, span.size, indexed.etag)
            header = manifest.headers[indexed.header] + indexed.sync
            return list(_events_in(partition, header, data, file, user_id))

        parts = await gather_or_cancel(read(*one) for one in wanted)
        # A file may be there twice, and files may overlap.
        events = {event.position: event for part in parts for event in part}
        return [events[position] for position in sorted(events)]

    async def _spans(self, segment: IndexSegment, hashed: int) -> list[IndexedSpan]:
        head = self._heads.get(segment.blob)
        if head is None:
            size = head_bytes(segment.rows, segment.spans)
            head = SegmentHead.read(await self._blobs.read_segment(segment.blob, 0, size), segment.rows, segment.spans)
            self._heads[segment.blob] = head
        at, size = head.rows_of(hashed)
        return head.spans_in(await self._blobs.read_segment(segment.blob, at, size), hashed) if size else []

    async def _claim(self, partition: str) -> bool:
        """Whether there is a manifest, which is made where there is none: an erasure that deletes the index, after it
        has rewritten files that are being scanned, is noticed by the ETag."""
        manifest, etag = self._manifests[partition]
        if etag is None:
            etag = await self._blobs.write_manifest(partition, manifest, None)
            self._manifests[partition] = manifest, etag
        return etag is not None

    async def _read(self, partition: str) -> Manifest:
        found = await self._blobs.read_manifest(partition)
        manifest, etag = found if found is not None else (Manifest(self._random(32)), None)
        self._manifests[partition] = manifest, etag
        return manifest


def is_of_listener(body: bytes, user_id: str) -> bool:
    """Whether the body is an event of this listener that keeps the contract."""
    # Nearly all that is asked about is of others. An id may be written with escapes.
    if user_id.encode() not in body and b"\\" not in body:
        return False
    try:
        return decode(body).data.user_id == user_id
    except PoisonError:
        return False


def _events_in(partition: str, header: bytes, data: bytes, file: PlacedFile, user_id: str) -> Iterator[ListenerEvent]:
    """The listener's events in a span of a file. Raises BlockError."""
    avro = read_header(header)
    assert avro is not None
    reader = RecordReader(avro)
    base = lasting_position(file.generation, 0)
    at = 0
    while at < len(data):
        block = read_block(avro, data, at)
        if block is None:
            raise BlockError(f"{file.file.path}: a span of the index ends within a block; delete the index")
        at += block.size
        records = reader.read([block])
        for position, second, body in zip(records.positions, records.enqueued_s, records.bodies, strict=True):
            if is_of_listener(body, user_id):
                yield ListenerEvent(partition, base + position, second, body)
