"""The pump between the cells and what is saved of them: hours are loaded, and sealed into Blob Storage.

What is saved of an hour is the union of its chunks in the changelog and of its blob, and what is in both counts once.
So an hour is sealed in this order: its chunks, merged into few, become a block of the blob; the service says that the
block is there; the changelog gets a mark that the hour is sealed, and then deletes the chunks. After a crash in between
some chunks are in both places. An hour is loaded in the other order, chunks first: what moves meanwhile is seen in one
place at least. An hour without a mark is in the changelog as a whole. Hours that were over long ago are loaded in part
(`late_hours.py`).
"""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.trending.cells.chunks import (
    SealedMark,
    decode_mark,
    encode_mark,
)
from songline.processors.trending.cells.early_hours import EarlyHours, EarlyLoads, EarlyPartition, cancel
from songline.processors.trending.cells.hour_images import HourImages
from songline.processors.trending.cells.hour_load import LOAD_WAIT_S, OPEN_WAIT_S, HourLoad
from songline.processors.trending.cells.hour_marks import is_mark, mark_key
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.late_hours import LateHours, has_index, hours_to_unload, is_over, open_hours
from songline.processors.trending.cells.loaded_actions import LoadedActions
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.sealed_blocks import pack_block
from songline.processors.trending.cells.sealed_hours import OtherBlocksError, SealedHours, SealingError
from songline.processors.trending.cells.source_partition import SourcePartition, hour_prefix
from songline.processors.trending.cells.state import Cell
from songline.processors.trending.cells.validation import SEALED, cell_key, merge_saved
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.faust.record_sender import send_records
from songline.processors.trending.spans import first_counted_hour
from songline.schemas.decoding import read_text
from songline.schemas.errors import PoisonError

log = logging.getLogger(__name__)

BLOCK_BYTES = 1_000_000
"""So many bytes of an open hour are sealed when they are there, and no more at once: recovery reads less than this of a
partition's hour in the changelog, and merging takes as much memory as several times these."""

LOADS = 8
"""So many hours of a partition are loaded at once: each waits for two answers, and after a start late events of a few
seconds want dozens of hours."""
LARGE_BYTES = 1_000_000
"""Hours of which so much is sealed are loaded one by one: each takes as much memory meanwhile as LOAD_ROWS do."""

NOTHING_EARLY: EarlyLoads = MappingProxyType({})


class UnsealedHourError(Exception):
    """A sealed hour can't be loaded, since this worker has no Blob Storage."""


class HourStore:
    """Loads and seals the hours of the cells whose changelog is `saved`. `hours` is None for a worker without Blob
    Storage: its hours stay in the changelog.
    """

    def __init__(
        self,
        saved: Changelog,
        hours: SealedHours | None,
        key: IdentityKey,
        producer: Callable[[], Any],
    ) -> None:
        self.key = key
        self._saved = saved
        self._hours = hours
        self._late = None if hours is None else LateHours(hours, key)
        self._images = None if hours is None else HourImages(hours, key)
        self._early = None if hours is None or self._images is None else EarlyHours(hours, self._images, key)
        self._producer = producer
        self._loads: dict[int, HourLoad] = {}
        self._load_errors: dict[int, Exception] = {}
        """Why the hours that a partition misses can't be loaded."""
        self._seal_errors: dict[tuple[int, int], Exception] = {}
        """Why an hour of a partition can't be sealed."""

    def restore_marks(self, removed: Iterable[bytes]) -> None:
        """Hold a mark in the place of each that was removed for being broken: something of its hour may be sealed."""
        self._saved.update({read_text(key): encode_mark(0) for key in removed if is_mark(key)})

    async def load_missing(self, held: Mapping[int, PartitionCells], now_ms: int) -> None:
        """Load the hours that the cells of these partitions miss, and no longer those of others.

        Returns after LOAD_WAIT_S at the latest, and waits for each load until its moment at most. What is not there
        by then is loaded meanwhile, so a Blob Storage that does not answer holds up the partitions alone that need it.
        What waits of hours that no shard counts is dropped: there may be years of them, each a request or more.
        """
        for number in [number for number, load in self._loads.items() if held.get(number) is not load.cells]:
            self._loads.pop(number).task.cancel()
        for cells in held.values():
            cells.drop_before(first_counted_hour(now_ms))
        loop = asyncio.get_running_loop()
        end_s, failed = loop.time() + LOAD_WAIT_S, set[int]()
        # Events that come meanwhile may ask for more of a partition. One that failed is tried by the next flush.
        while loop.time() < end_s:
            self._begin(held, now_ms, failed)
            loads = {number: load for number, load in self._loads.items() if number in held and held[number].missing()}
            awaited = {number: load.task for number, load in loads.items() if load.until_s > loop.time()}
            if not awaited:
                break
            await asyncio.wait(awaited.values(), timeout=end_s - loop.time())
            failed |= awaited.keys() & self._load_errors.keys()

    def load_beside(self, number: int, cells: PartitionCells, now_ms: int) -> None:
        """Begin to load what the cells of a partition miss, of which something has just been folded. What failed at the
        last try is left to the next flush."""
        if number not in self._load_errors:
            cells.drop_before(first_counted_hour(now_ms))
            self._begin({number: cells}, now_ms, ())

    def _begin(self, held: Mapping[int, PartitionCells], now_ms: int, but: Container[int]) -> None:
        """Begin to load what partitions miss, but for some."""
        for number in [number for number, load in self._loads.items() if load.task.done()]:
            self._loads.pop(number).task.result()
        until_s = asyncio.get_running_loop().time() + LOAD_WAIT_S
        for number, cells in held.items():
            if cells.missing() and number not in self._loads and number not in but:
                loading = asyncio.create_task(self._load_all(number, cells, now_ms))
                self._loads[number] = HourLoad(cells, loading, until_s)

    def load_early(self, number: int, cells: PartitionCells, now_ms: int) -> None:
        """Load what is sealed of the open hours of a partition that will probably be held."""
        if self._early is not None:
            self._early.begin(number, cells, open_hours(now_ms))

    def take_early(self, number: int) -> EarlyPartition | None:
        """What is loaded early of a partition that is held now."""
        return None if self._early is None else self._early.take(number)

    def drop_early(self) -> None:
        """Load no more of partitions that were not taken."""
        if self._early is not None:
            self._early.drop()

    def preload(self, number: int, cells: PartitionCells, now_ms: int, early: EarlyLoads = NOTHING_EARLY) -> None:
        """Load what was saved of the hours for which most events will come, before the first of them is there.
        `early`: what is loaded of them already, for these cells. The partition is held since now."""
        cells.held_ms = now_ms
        saved = [one for one in open_hours(now_ms) if self._saved.records(hour_prefix(number, one))]
        if saved:
            if (before := self._loads.pop(number, None)) is not None:
                before.task.cancel()
            until_s = asyncio.get_running_loop().time() + OPEN_WAIT_S
            loading = asyncio.create_task(self._load_open(number, cells, saved, early))
            self._loads[number] = HourLoad(cells, loading, until_s)
        else:
            cancel(early)

    async def _load_open(self, number: int, cells: PartitionCells, hours: list[int], early: EarlyLoads) -> None:
        try:
            for hour in hours:
                # What can't be loaded is missed, and told, once an event needs it.
                with suppress(AzureError, UnsealedHourError):
                    cells.add(await self._open_cell(number, cells, hour, early))
        finally:
            cancel(early)

    async def _open_cell(self, number: int, cells: PartitionCells, hour: int, early: EarlyLoads) -> Cell:
        """The cell of an open hour, with all that is saved of it."""
        found = None
        # Without a mark the hour is in the changelog as a whole: a blob may be that of a hub that was there before.
        if self._early is not None and self._saved.value(mark_key(number, hour)):
            found = await (early.get(hour) or self._early.load(number, cells.new_cell(hour)))
        if found is not None:
            try:
                await self._load(number, found.cell, found.blocks, found.size_bytes)
            except OtherBlocksError as why:
                log.warning("%s is loaded once more: %s", _name(number, hour), why)
            else:
                return found.cell
        cell = cells.new_cell(hour)
        await self._load(number, cell)
        return cell

    async def _load_all(self, number: int, cells: PartitionCells, now_ms: int) -> None:
        turns, alone = asyncio.Semaphore(LOADS), asyncio.Semaphore(1)

        async def load(hour: int) -> None:
            try:
                async with turns:
                    is_loaded = await self._load_in_part(number, cells, hour, now_ms)
                if not is_loaded:
                    cell = cells.new_cell(hour)
                    async with alone if self._sealed_bytes(number, hour) >= LARGE_BYTES else turns:
                        await self._load(number, cell)
                    cells.add(cell)
            except (AzureError, UnsealedHourError) as error:
                if number not in self._load_errors:
                    log.warning("%s can't be loaded, trying again: %s", _name(number, hour), error)
                self._load_errors[number] = error
                raise

        with suppress(AzureError, UnsealedHourError):
            await gather_or_cancel(load(hour) for hour in cells.missing())
            self._load_errors.pop(number, None)

    async def _load_in_part(self, number: int, cells: PartitionCells, hour: int, now_ms: int) -> bool:
        """Load what late events need of an hour that has an index; False where it has to be loaded as a whole."""
        if self._late is None or not has_index(hour, self._sealed_bytes(number, hour), now_ms):
            return False
        if cells.indexed_cell(hour) is None:
            index = await self._late.open(number, hour)
            if index is None:
                return False
            cell = cells.new_cell(hour, index)
            try:
                size_bytes = await self._load(number, cell, index.blocks, index.size_bytes)
            except OtherBlocksError as why:
                self._late.refuse(number, hour, why)
                return False
            self._late.add_loaded(number, hour, index, size_bytes)
            cells.add(cell)
        return await self._late.ask(number, cells, hour)

    def _sealed_bytes(self, number: int, hour: int) -> int:
        """How much of the hour is in its blob at least, as its mark says."""
        mark = self._saved.value(mark_key(number, hour))
        try:
            return decode_mark(mark).size_bytes if mark else 0
        except PoisonError:
            # It is parked where the hour is loaded.
            return 0

    def last_error(self, partitions: Container[int]) -> Exception | None:
        """Why an hour of these partitions could not be loaded or sealed at the last try, None where that went well."""
        loading = [error for number, error in self._load_errors.items() if number in partitions]
        sealing = [error for (number, _), error in self._seal_errors.items() if number in partitions]
        return next(iter(loading + sealing), None)

    def due(self, source: SourcePartition, now_ms: int) -> dict[int, list[str]]:
        """The hours of which something is to be sealed now, each with the keys of these chunks.

        They are not written again. No flush may be under way.
        """
        found: dict[int, list[str]] = {}
        if self._hours is None:
            return found
        uses = source.cells.loaded()
        for hour, keys in sorted(self._chunks_by_hour(source.number).items()):
            over = is_over(hour, uses.get(hour), now_ms, source.cells.held_ms)
            if over:
                source.cells.close_chunk(hour)
            elif (piece := source.cells.open_piece(hour)) is not None:
                keys = [key for key in keys if key != source.chunk_key(hour, piece)]
            if not over:
                # A short block costs as many requests as a long one: what is left of an open hour waits for more.
                keys = [key for group in self._groups(keys, has_rest=False) for key in group]
            if keys:
                found[hour] = keys
        for key in [key for key in self._seal_errors if key[0] == source.number and key[1] not in found]:
            del self._seal_errors[key]
        return found

    async def seal(self, source: SourcePartition, hour: int, keys: list[str], is_held: Callable[[], bool]) -> None:
        """Seal chunks of an hour. `is_held`: whether this worker holds the partition still."""
        number = source.number
        try:
            for group in self._groups(keys):
                await self._seal(source, hour, group, is_held)
        except (AzureError, SealingError) as error:
            if (number, hour) not in self._seal_errors:
                log.warning("%s can't be sealed, trying again: %s", _name(number, hour), error)
            self._seal_errors[number, hour] = error
        else:
            self._seal_errors.pop((number, hour), None)

    def unload(self, source: SourcePartition, now_ms: int) -> None:
        """Drop hours that are over from memory. No flush may be under way."""
        for hour in hours_to_unload(source.cells.loaded(), now_ms):
            source.cells.unload(hour)

    async def save_images(self, source: SourcePartition, flushing: asyncio.Lock, now_ms: int) -> None:
        """Write the images of open hours of a partition. While `flushing` is held, no flush is under way."""
        if self._images is not None:
            await self._images.save(source.number, source.cells, flushing, now_ms)

    async def index(self, number: int, now_ms: int) -> None:
        """Make the index of an hour of a partition, if one needs it."""
        if self._late is None:
            return
        keys = [key for key, _ in self._saved.records(f"{number}/") if is_mark(key)]
        hours = [int(key.split(b"/")[1]) for key in keys]
        late = [hour for hour in hours if has_index(hour, self._sealed_bytes(number, hour), now_ms)]
        await self._late.make_one(number, late)

    async def delete_before(self, number: int, hour: int) -> None:
        """Delete the sealed hours of a partition that are before `hour`."""
        if self._hours is None or self._late is None:
            return
        self._late.forget_before(number, hour)
        try:
            await self._hours.delete_before(number, hour)
        except AzureError as error:
            # The next hour's turn deletes them.
            log.warning("sealed hours of partition %d before %d were not deleted: %s", number, hour, error)

    def _chunks_by_hour(self, number: int) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for key, _ in self._saved.records(f"{number}/"):
            try:
                parts = cell_key(key, number)
            except PoisonError:
                continue
            if parts[2] != SEALED:
                found.setdefault(int(parts[1]), []).append(read_text(key))
        return found

    async def _seal(self, source: SourcePartition, hour: int, keys: list[str], is_held: Callable[[], bool]) -> None:
        assert self._hours is not None
        number = source.number
        held = {key: self._saved.value(key) for key in keys}
        # A tenth of a second of CPU: charts would be as much older.
        chunks, broken = await asyncio.to_thread(merge_saved, held, self.key)
        for key, why in broken.items():
            self._saved.remove(key.encode(), held[key], why)
        values: dict[str, bytes | None] = {}
        if chunks:
            block = pack_block(chunks)
            try:
                size_bytes = await self._hours.add_block(number, hour, block)
            except ResourceNotFoundError:
                await self._hours.make_container()
                size_bytes = await self._hours.add_block(number, hour, block)
            values[mark_key(number, hour)] = encode_mark(size_bytes)
            cell = source.cells.cell(hour)
            # Blocks of others may stand in between, which the cell has not counted.
            if cell is not None and cell.sealed_bytes + len(block) == size_bytes:
                cell.sealed_bytes = size_bytes
        if is_held():
            # What was parked is deleted with its whole hour.
            values |= dict.fromkeys(key for key in keys if self._saved.value(key))
            await send_records(self._producer(), self._saved.outgoing(number, values))
            self._saved.update(values)

    def _groups(self, keys: list[str], *, has_rest: bool = True) -> Iterator[list[str]]:
        group, size_bytes = list[str](), 0
        for key in keys:
            group.append(key)
            size_bytes += len(self._saved.value(key))
            if size_bytes >= BLOCK_BYTES:
                yield group
                group, size_bytes = [], 0
        if group and has_rest:
            yield group

    async def _load(self, number: int, cell: Cell, behind: Sequence[str] = (), size_bytes: int = 0) -> int:
        """Load what is saved of a cell, but for the first blocks of its blob, whose ids are `behind` and which have
        `size_bytes`; return how large the blob is."""
        mark: SealedMark | None = None
        is_sealed = False
        chunks: dict[bytes, bytes] = {}
        for key, value in self._saved.records(hour_prefix(number, cell.hour)):
            try:
                if cell_key(key, number)[2] == SEALED:
                    is_sealed = True
                    mark = decode_mark(value)
                else:
                    chunks[key] = value
            except PoisonError as why:
                self._saved.remove(key, value, why)
        loaded = LoadedActions(cell, self.key)
        keys = list(chunks)
        for place, error in await loaded.add(list(chunks.values())):
            self._saved.remove(keys[place], chunks[keys[place]], error)
        if is_sealed:
            if self._hours is None:
                raise UnsealedHourError(
                    f"{_name(number, cell.hour)} was sealed into Blob Storage: set "
                    "AZURE_STORAGEBLOB_CONNECTIONSTRING or AZURE_STORAGEBLOB_RESOURCEENDPOINT for this worker"
                )
            async for block in self._hours.read(number, cell.hour, behind):
                await loaded.add_block(number, block, size_bytes)
                size_bytes += len(block)
        await loaded.count()
        cell.sealed_bytes = size_bytes
        if mark is not None and size_bytes < mark.size_bytes:
            log.error(
                "the sealed hour %d of partition %d has %d bytes, %d were sealed: late events of it may count twice",
                *(cell.hour, number, size_bytes, mark.size_bytes),
            )
        return size_bytes


def _name(number: int, hour: int) -> str:
    return f"hour {hour} of partition {number}"
