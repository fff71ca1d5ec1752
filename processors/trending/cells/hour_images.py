"""The images of open hours in Blob Storage: one blob beside that of an hour, by which it is loaded after a start.

An image is written of what a worker has in memory, while that goes on counting. It is made anew when half as much as it
covers was sealed since, so an hour is written three times as its image. What can't be used of an image is never needed:
the hour is loaded by its blocks then.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock

from songline.processors.trending.cells.derived_blobs import commit, read_header, staged, unchanged
from songline.processors.trending.cells.derived_file import BrokenFileError
from songline.processors.trending.cells.hour_image import MAGIC, ImageReader, ImageWriter, decode_image_header
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.late_hours import open_hours
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.sealed_hours import SealedHours, answer_in_time, image_name, pieces_of
from songline.processors.trending.cells.state import Cell

log = logging.getLogger(__name__)

IMAGE_BYTES = 4_000_000
"""An hour of which so much is sealed gets an image: less is loaded in a tenth of a second."""
GROWTH = 0.5
"""An image is made anew when so much of what it covers was sealed since."""


class CoveredBlocks(NamedTuple):
    """The first blocks of an hour's blob: their ids, and how many bytes they have."""

    ids: tuple[str, ...] = ()
    size_bytes: int = 0


def first_blocks(blocks: Iterable[BlobBlock], size_bytes: int) -> CoveredBlocks | None:
    """The first of an hour's blocks, which have so many bytes; None where no block ends there."""
    ids, found = list[str](), 0
    for block in blocks:
        if found < size_bytes:
            ids.append(block.id)
            found += block.size
    return CoveredBlocks(tuple(ids), found) if found == size_bytes else None


class HourImages:
    """The images beside `hours`."""

    def __init__(self, hours: SealedHours, key: IdentityKey) -> None:
        self._hours = hours
        self._key = key
        self._covered: dict[tuple[int, int], int] = {}
        """How much of an hour's blob its image covers, by partition and hour, as far as it is known."""
        self._swept: dict[int, int] = {}
        """The first open hour of a partition when its images were looked at last."""

    async def restore(self, number: int, cell: Cell, blocks: Sequence[BlobBlock]) -> CoveredBlocks:
        """Restore a new cell by the image of its hour, whose blob has these blocks; return what needs no reading any
        more. Raises AzureError."""
        if sum(one.size for one in blocks) < IMAGE_BYTES:
            return CoveredBlocks()
        try:
            return await self._read(number, cell, blocks)
        except (ResourceNotFoundError, ResourceModifiedError):
            return CoveredBlocks()
        except BrokenFileError as why:
            log.warning(
                "the image of hour %d of partition %d can't be used, the hour is loaded by its blocks: %s",
                *(cell.hour, number, why),
            )
            return CoveredBlocks()

    async def save(self, number: int, cells: PartitionCells, flushing: asyncio.Lock, now_ms: int) -> None:
        """Write the images of a partition's open hours that are due, and delete those of hours that are over. While
        `flushing` is held, no flush is under way. Where that goes wrong, the next call does it."""
        hours = open_hours(now_ms)
        try:
            for hour in hours:
                cell = cells.cell(hour)
                if cell is not None and self._is_due(number, cell):
                    await self._write(number, cell, cells, flushing)
            if self._swept.get(number) != hours[0]:
                await self._delete_before(number, hours[0])
        except AzureError as error:
            log.warning("no image could be written or deleted for partition %d, trying again: %s", number, error)

    def _is_due(self, number: int, cell: Cell) -> bool:
        covered = self._covered.get((number, cell.hour), 0)
        return cell.sealed_bytes - covered >= max(IMAGE_BYTES, covered * GROWTH)

    async def _write(self, number: int, cell: Cell, cells: PartitionCells, flushing: asyncio.Lock) -> None:
        known = first_blocks(await self._hours.blocks(number, cell.hour), cell.sealed_bytes)
        if known is None:
            return
        blob = self._hours.blob(image_name(number, cell.hour))
        condition = await unchanged(blob)
        with ExitStack() as keeping:
            async with flushing:
                # An action that is in an image, and was saved nowhere else, would never be saved again.
                if not cells.is_saved or cells.cell(cell.hour) is not cell:
                    return
                columns = keeping.enter_context(cell.kept())
            writer = ImageWriter(columns, cell.songs.names)
            parts = [await staged(blob, part) for part in writer.parts()]
            header = await staged(blob, writer.header(self._key, list(known.ids), known.size_bytes))
        await commit(blob, [header, *parts], condition)
        self._covered[number, cell.hour] = known.size_bytes

    async def _delete_before(self, number: int, first: int) -> None:
        """Delete the images of hours before the first open one, also those that an owner before has left."""
        for hour in [hour for hour in await self._hours.imaged(number) if hour < first]:
            with suppress(ResourceNotFoundError):
                async with answer_in_time():
                    await self._hours.blob(image_name(number, hour)).delete_blob()
            self._covered.pop((number, hour), None)
        self._swept[number] = first

    async def _read(self, number: int, cell: Cell, blocks: Sequence[BlobBlock]) -> CoveredBlocks:
        async with answer_in_time():
            stream = await self._hours.blob(image_name(number, cell.hour)).download_blob()
        pieces = pieces_of(stream)
        begin, behind = await read_header(pieces, MAGIC)
        header = decode_image_header(begin)
        if header.key != self._key.id:
            raise BrokenFileError(f"made under the key {header.key.hex()[:32]}, here is {self._key.id.hex()}")
        if header.blocks != [one.id for one in blocks[: len(header.blocks)]]:
            raise BrokenFileError(f"it covers {len(header.blocks)} blocks, with which the hour's blob does not begin")
        reader = ImageReader(header, stream.size - len(begin))
        reader.add(behind)
        del begin, behind
        async for piece in pieces:
            await asyncio.to_thread(reader.add, piece)
        # Songs get their numbers in the event loop, since all cells share them.
        try:
            numbers = cell.songs.numbers(header.songs)
        except ValueError as why:
            raise BrokenFileError(f"it names a song that is none: {why}") from why
        columns = await asyncio.to_thread(reader.columns, numbers)
        await asyncio.to_thread(cell.restore_columns, columns)
        self._covered[number, cell.hour] = header.size_bytes
        return CoveredBlocks(tuple(header.blocks), header.size_bytes)
