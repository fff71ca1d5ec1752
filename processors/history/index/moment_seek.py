"""Finding the moment in a file of the archive at which it goes beyond a second, by a few of its blocks."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from songline.processors.history.archive.avro_blocks import SYNC_BYTES, AvroBlock, AvroHeader, BlockError, read_block
from songline.processors.history.archive.capture_records import RecordReader, Records

WINDOW_BYTES = 256 * 1024
"""So much is read at a time: some blocks. A longer block is read whole."""

ReadPart = Callable[[int, int], Awaitable[bytes]]
"""Reads at most so many bytes of a file, from an offset on."""


class FoundBlock(Struct, frozen=True):
    """A block that has records: where in the file it begins, and these."""

    at: int
    records: Records


class MomentSeek:
    """A file whose positions and moments rise, of `size_bytes`. Methods raise BlockError and what `read` raises."""

    def __init__(self, header: AvroHeader, size_bytes: int, read: ReadPart) -> None:
        self._header = header
        self._size_bytes = size_bytes
        self._read = read
        self._records = RecordReader(header)

    async def last_before(self, until_s: int) -> int | None:
        """The position of the last event that the hub took before the Unix second `until_s`, None where there is none.

        Blocks are halved: what begins at `begin` is before, and what begins at `end` is not.
        """
        begin, end = self._header.size, self._size_bytes
        searched = end
        """No block begins from here to before `end`."""
        while searched - begin > WINDOW_BYTES:
            middle = (begin + searched) // 2
            block = await self._block_behind(middle, end)
            if block is None:
                searched = middle
            elif block.records.enqueued_s[0] < until_s:
                begin = block.at
            else:
                end, searched = block.at, middle
        return await self._last_in(begin, end, until_s)

    async def _last_in(self, begin: int, end: int, until_s: int) -> int | None:
        last = None
        data = await self._read(begin, end - begin)
        at = 0
        while at < len(data):
            block = self._block(data, at)
            if block is None:
                raise BlockError("the file ends within a block; delete the index")
            at += block.size
            for position, second in self._moments(block):
                if second >= until_s:
                    return last
                last = position
        return last

    async def _block_behind(self, offset: int, end: int) -> FoundBlock | None:
        """The first block with records that begins behind `offset` and before `end`. A block begins behind the marker
        of the one before."""
        size = WINDOW_BYTES
        while True:
            size = min(size, end - offset)
            data = await self._read(offset, size)
            found = data.find(self._header.sync)
            at = found + SYNC_BYTES
            while found >= 0 and offset + at < end and (block := self._block(data, at)) is not None:
                if block.count:
                    return FoundBlock(offset + at, self._records.read([block]))
                at += block.size
            if size == end - offset:
                return None
            size *= 2

    def _block(self, data: bytes, at: int) -> AvroBlock | None:
        return read_block(self._header, data, at)

    def _moments(self, block: AvroBlock) -> list[tuple[int, int]]:
        records = self._records.read([block])
        return list(zip(records.positions, records.enqueued_s, strict=True))
