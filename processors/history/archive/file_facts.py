"""What a file of the archive holds: its first and last position and their moments, read from its two ends."""

from collections.abc import Iterable
from zlib import crc32

from msgspec import Struct

from songline.processors.history.archive.avro_blocks import (
    SYNC_BYTES,
    AvroHeader,
    BlockError,
    read_block,
    read_header,
)
from songline.processors.history.archive.blob_files import ArchiveFile, ArchiveFiles
from songline.processors.history.archive.capture_records import RecordReader, Records
from songline.processors.history.archive.errors import Damage
from songline.processors.history.archive.file_blocks import FileBlocks

END_BYTES = 128 * 1024
"""So much of each end of a file is read first."""


class FileRange(Struct, frozen=True):
    """The positions of a file's events, the first and the last, and the Unix seconds at which the hub took the earliest
    and the latest. `mark`: a checksum of the first one's body, 0 where it is not known."""

    first: int
    last: int
    first_s: int
    last_s: int
    mark: int = 0


class FileFacts(Struct, frozen=True):
    """What is known of a file: its range, None where it has no events or none can be read; and what is wrong with its
    ends, None for nothing."""

    file: ArchiveFile
    range: FileRange | None
    damage: Damage | None = None


class RangeScan:
    """The range of records in any order, which are added part by part; None while there are none."""

    def __init__(self) -> None:
        self.range: FileRange | None = None

    def add(self, records: Records) -> None:
        """Take in some records."""
        if not len(records):
            return
        first, last = min(records.positions), max(records.positions)
        first_s, last_s = min(records.enqueued_s), max(records.enqueued_s)
        before = self.range
        if before is None or first < before.first:
            mark = crc32(records.bodies[records.positions.index(first)])
        else:
            mark = before.mark
        if before is not None:
            first, last = min(first, before.first), max(last, before.last)
            first_s, last_s = min(first_s, before.first_s), max(last_s, before.last_s)
        self.range = FileRange(first, last, first_s, last_s, mark)


async def read_facts(files: ArchiveFiles, file: ArchiveFile) -> FileFacts:
    """What the file holds. Raises AzureError."""
    if file.size_bytes <= 2 * END_BYTES:
        return _whole(file, await files.read_part(file.path, 0, file.size_bytes))
    try:
        first = await _read_beginning(files, file)
        last = await _read_end(files, file, first[0]) if first is not None else None
    except BlockError:
        first = last = None
    if first is None or last is None:
        # Nothing but the whole file tells what can be read of it.
        return await _read_through(files, file)
    _, begin = first
    if not _rise(begin, last):
        return await _read_through(files, file)
    ends = RangeScan()
    for part in (begin, last):
        ends.add(part)
    return FileFacts(file, ends.range)


def _whole(file: ArchiveFile, data: bytes) -> FileFacts:
    blocks, scan = FileBlocks(file.path), _FactScan()
    scan.add(blocks.feed(data))
    scan.add(blocks.end())
    return scan.facts(file)


async def _read_through(files: ArchiveFiles, file: ArchiveFile) -> FileFacts:
    """The facts of a file of which nothing is taken for granted."""
    blocks, scan = FileBlocks(file.path), _FactScan()
    download = files.download(file.path)
    try:
        async for piece in download.pieces():
            if piece is None:
                blocks, scan = FileBlocks(file.path), _FactScan()
                continue
            scan.add(blocks.feed(piece))
    finally:
        await download.close()
    scan.add(blocks.end())
    return scan.facts(file)


class _FactScan:
    """The facts of a file that is read from its beginning to its end."""

    def __init__(self) -> None:
        self._range = RangeScan()
        self._damage: Damage | None = None

    def add(self, found: Iterable[Records | Damage]) -> None:
        for one in found:
            if isinstance(one, Damage):
                self._damage = self._damage or one
            else:
                self._range.add(one)

    def facts(self, file: ArchiveFile) -> FileFacts:
        return FileFacts(file, self._range.range, self._damage)


def _rise(begin: Records, end: Records) -> bool:
    """Whether positions and moments rise within both ends of a file, and from the one to the other."""
    if begin.positions[0] > end.positions[-1] or begin.enqueued_s[0] > end.enqueued_s[-1]:
        return False
    columns = (begin.positions, begin.enqueued_s, end.positions, end.enqueued_s)
    return all(column == sorted(column) for column in columns)


async def _read_beginning(files: ArchiveFiles, file: ArchiveFile) -> tuple[AvroHeader, Records] | None:
    """The header and the records of the first block that has some; None where no block has any."""
    data = b""
    size = END_BYTES
    while True:
        data += await files.read_part(file.path, len(data), size - len(data))
        header = read_header(data)
        if header is not None:
            at = header.size
            while (block := read_block(header, data, at)) is not None:
                if block.count:
                    return header, RecordReader(header).read([block])
                at += block.size
        if len(data) >= file.size_bytes:
            return None
        size = min(2 * size, file.size_bytes)


async def _read_end(files: ArchiveFiles, file: ArchiveFile, header: AvroHeader) -> Records | None:
    """The records of the last block that has some; None where the end of the file is not the end of a block."""
    size = END_BYTES
    while True:
        size = min(size, file.size_bytes)
        start = file.size_bytes - size
        data = await files.read_part(file.path, start, size)
        end = len(data)
        while data.endswith(header.sync, 0, end):
            before = data.rfind(header.sync, 0, end - SYNC_BYTES)
            if before < 0:
                break
            block = read_block(header, data[:end], before + SYNC_BYTES)
            if block is None or before + SYNC_BYTES + block.size != end:
                return None
            if block.count:
                return RecordReader(header).read([block])
            end = before + SYNC_BYTES
        else:
            return None
        if start == 0:
            return None
        size *= 2
