"""What a file of the archive holds: its first and last position and their moments, read from its two ends."""

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
    """The positions of a file's events, the first and the last, and the Unix seconds at which the hub took these."""

    first: int
    last: int
    first_s: int
    last_s: int


class FileFacts(Struct, frozen=True):
    """What is known of a file: its range, None where it has no events or none can be read; and what is wrong with its
    ends, None for nothing."""

    file: ArchiveFile
    range: FileRange | None
    damage: Damage | None = None


async def read_facts(files: ArchiveFiles, file: ArchiveFile) -> FileFacts:
    """What the file holds. Raises AzureError."""
    if file.size_bytes <= 2 * END_BYTES:
        return _whole(file, await files.read_part(file.path, 0, file.size_bytes) if file.size_bytes else b"")
    try:
        first = await _read_beginning(files, file)
        last = await _read_end(files, file, first[0]) if first is not None else None
    except BlockError:
        first = last = None
    if first is None or last is None:
        # Nothing but the whole file tells what can be read of it.
        return await _read_through(files, file)
    _, begin = first
    return FileFacts(file, FileRange(begin.positions[0], last.positions[-1], begin.enqueued_s[0], last.enqueued_s[-1]))


def _whole(file: ArchiveFile, data: bytes) -> FileFacts:
    blocks = FileBlocks(file.path)
    found = [*blocks.feed(data), *blocks.end()]
    return _facts(file, found)


def _facts(file: ArchiveFile, found: "list[Records | Damage]") -> FileFacts:
    damage = next((one for one in found if isinstance(one, Damage)), None)
    parts = [one for one in found if isinstance(one, Records) and len(one)]
    if not parts:
        return FileFacts(file, None, damage)
    first = min(parts[0].positions[0], *(min(part.positions) for part in parts))
    last = max(max(part.positions) for part in parts)
    seconds = [second for part in parts for second in (min(part.enqueued_s), max(part.enqueued_s))]
    return FileFacts(file, FileRange(first, last, min(seconds), max(seconds)), damage)


async def _read_through(files: ArchiveFiles, file: ArchiveFile) -> FileFacts:
    """The facts of a file of which nothing is taken for granted; only the ends of its records are kept."""
    blocks = FileBlocks(file.path)
    found: list[Records | Damage] = []
    download = files.download(file.path)
    try:
        async for piece in download.pieces():
            if piece is None:
                blocks, found = FileBlocks(file.path), []
                continue
            found += map(_ends, blocks.feed(piece))
    finally:
        await download.close()
    return _facts(file, [*found, *blocks.end()])


def _ends(found: Records | Damage) -> Records | Damage:
    if isinstance(found, Damage) or not len(found):
        return found
    positions, seconds = found.positions, found.enqueued_s
    return Records([min(positions), max(positions)], [min(seconds), max(seconds)], [])


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
