"""The pump between the cells and what is saved of them: hours are loaded, and sealed into Blob Storage.

What is saved of an hour is the union of its chunks in the changelog and of its blob, and what is in both counts once.
So an hour is sealed in this order: its chunks, merged into few, become a block of the blob; the service says that the
block is there; the changelog gets a mark that the hour is sealed, and then deletes the chunks. After a crash in between
some chunks are in both places. An hour is loaded in the other order, chunks first: what moves meanwhile is seen in one
place at least. An hour without a mark is in the changelog as a whole.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, ParamSpec, TypeVar

from azure.core.exceptions import AzureError, ResourceNotFoundError

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.trending.cells.chunks import (
    Actions,
    SavedChunk,
    SealedMark,
    decode_mark,
    encode_mark,
    merged_chunks,
)
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.sealed_blocks import BadFrame, pack_block, unpack_block
from songline.processors.trending.cells.sealed_hours import SealedHours, SealingError
from songline.processors.trending.cells.source_partition import SourcePartition, hour_prefix
from songline.processors.trending.cells.state import Cell, PartitionCells
from songline.processors.trending.cells.validation import SEALED, cell_key, check_chunk, check_chunks
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.faust.record_sender import send_records
from songline.processors.trending.spans import HOUR_MS, first_counted_hour
from songline.schemas.decoding import read_text
from songline.schemas.errors import PoisonError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

OPEN_MS = 600_000
"""An hour is open for so long after its end: most events that are late have come by then."""
IDLE_MS = 60_000
"""An hour that is over stays in memory for so long after the last event that was late."""
BLOCK_BYTES = 1_000_000
"""So many bytes of an open hour are sealed when they are there, and no more at once: recovery reads less than this of a
partition's hour in the changelog, and merging takes as much memory as several times these."""


LOADS = 8
"""So many hours of a partition are loaded at once: each waits for two answers, and after a start late events of a few
seconds want dozens of hours."""
LARGE_BYTES = 1_000_000
"""Hours of which so much is sealed are loaded one by one: each takes as much memory meanwhile as LOAD_ROWS do."""

LOAD_WAIT_S = 0.5
"""A flush waits so long for the hours that its partitions miss; they are flushed by a later one then."""

LOAD_ROWS = 1_000_000
"""Actions of an hour that is loaded are counted so many at once, by sorting them: some 50 bytes each meanwhile. Those
behind them are looked up among those before and merged with them, which takes longer than sorting."""
LOAD_CHUNKS = 100
"""Saved chunks are checked so many at once: 9 MB of actions at most."""
LITTLE_BYTES = 50_000
"""So much of an hour is checked and counted in a millisecond, and a thread would take as long to begin."""
ROW_BYTES = 22
"""What an action takes in a chunk, without the name of its song."""


_MARK_KEY = re.compile(rb"[0-9]{1,5}/[0-9]{1,12}/" + SEALED.encode() + rb"/0")


class HourLoad(NamedTuple):
    """The loading of what the cells of a partition miss."""

    cells: PartitionCells
    task: asyncio.Task[None]


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
        self._producer = producer
        self._loads: dict[int, HourLoad] = {}
        self._load_errors: dict[int, Exception] = {}
        """Why the hours that a partition misses can't be loaded."""
        self._seal_errors: dict[tuple[int, int], Exception] = {}
        """Why an hour of a partition can't be sealed."""

    def restore_marks(self, removed: Iterable[bytes]) -> None:
        """Hold a mark in the place of each that was removed for being broken: something of its hour may be sealed."""
        self._saved.update({read_text(key): encode_mark(0) for key in removed if _MARK_KEY.fullmatch(key)})

    async def load_missing(self, held: Mapping[int, PartitionCells], now_ms: int) -> None:
        """Load the hours that the cells of these partitions miss, and no longer those of others.

        Returns after LOAD_WAIT_S at the latest. What is not there by then is loaded meanwhile, so a Blob Storage that
        does not answer holds up the partitions alone that need it. What waits of hours that no shard counts is
        dropped: there may be years of them, each a request or more.
        """
        for number in [number for number, load in self._loads.items() if held.get(number) is not load.cells]:
            self._loads.pop(number).task.cancel()
        for number in [number for number, load in self._loads.items() if load.task.done()]:
            self._loads.pop(number).task.result()
        begun = set()
        for number, cells in held.items():
            cells.drop_before(first_counted_hour(now_ms))
            if cells.missing() and number not in self._loads:
                task = asyncio.create_task(self._load_all(number, cells))
                self._loads[number] = HourLoad(cells, task)
                begun.add(task)
        if begun:
            await asyncio.wait(begun, timeout=LOAD_WAIT_S)

    def preload(self, number: int, cells: PartitionCells, now_ms: int) -> None:
        """Load what was saved of the hours for which most events will come, before the first of them is there."""
        hours = {now_ms // HOUR_MS, (now_ms - OPEN_MS) // HOUR_MS}
        saved = [one for one in sorted(hours) if self._saved.records(hour_prefix(number, one))]
        if saved:
            if (before := self._loads.pop(number, None)) is not None:
                before.task.cancel()
            self._loads[number] = HourLoad(cells, asyncio.create_task(self._load_early(number, cells, saved)))

    async def _load_early(self, number: int, cells: PartitionCells, hours: list[int]) -> None:
        for hour in hours:
            cell = cells.new_cell(hour)
            # What can't be loaded is missed, and told, once an event needs it.
            with suppress(AzureError, UnsealedHourError):
                await self._load(number, cell)
                cells.add(cell)

    async def _load_all(self, number: int, cells: PartitionCells) -> None:
        turns, alone = asyncio.Semaphore(LOADS), asyncio.Semaphore(1)

        async def load(hour: int) -> None:
            cell = cells.new_cell(hour)
            try:
                async with alone if self._sealed_bytes(number, hour) >= LARGE_BYTES else turns:
                    await self._load(number, cell)
            except (AzureError, UnsealedHourError) as error:
                if number not in self._load_errors:
                    log.warning("%s can't be loaded, trying again: %s", _name(number, hour), error)
                self._load_errors[number] = error
                raise
            cells.add(cell)

        with suppress(AzureError, UnsealedHourError):
            await gather_or_cancel(load(hour) for hour in cells.missing())
            self._load_errors.pop(number, None)

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
        for hour, keys in sorted(self._chunks_by_hour(source.number).items()):
            over = _is_over(source, hour, now_ms)
            if over:
                source.cells.close_chunk(hour)
            elif (piece := source.cells.open_piece(hour)) is not None:
                keys = [key for key in keys if key != source.chunk_key(hour, piece)]
            if keys and (over or sum(len(self._saved.value(key)) for key in keys) >= BLOCK_BYTES):
                found[hour] = keys
        for key in [key for key in self._seal_errors if key[0] == source.number and key[1] not in found]:
            del self._seal_errors[key]
        return found

    async def seal(self, number: int, hour: int, keys: list[str], is_held: Callable[[], bool]) -> None:
        """Seal chunks of an hour. `is_held`: whether this worker holds the partition still."""
        try:
            for group in self._groups(keys):
                await self._seal(number, hour, group, is_held)
        except (AzureError, SealingError) as error:
            if (number, hour) not in self._seal_errors:
                log.warning("%s can't be sealed, trying again: %s", _name(number, hour), error)
            self._seal_errors[number, hour] = error
        else:
            self._seal_errors.pop((number, hour), None)

    def unload(self, source: SourcePartition, now_ms: int) -> None:
        """Drop the hours that are over from memory. No flush may be under way."""
        for hour in source.cells.loaded():
            if _is_over(source, hour, now_ms):
                source.cells.unload(hour)

    async def delete_before(self, number: int, hour: int) -> None:
        """Delete the sealed hours of a partition that are before `hour`."""
        if self._hours is None:
            return
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

    async def _seal(self, number: int, hour: int, keys: list[str], is_held: Callable[[], bool]) -> None:
        assert self._hours is not None
        held = {key: self._saved.value(key) for key in keys}
        # A tenth of a second of CPU: charts would be as much older.
        chunks, broken = await asyncio.to_thread(_merged, held, self.key)
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
        if is_held():
            # What was parked is deleted with its whole hour.
            values |= dict.fromkeys(key for key in keys if self._saved.value(key))
            await send_records(self._producer(), self._saved.outgoing(number, values))
            self._saved.update(values)

    def _groups(self, keys: list[str]) -> Iterator[list[str]]:
        group: list[str] = []
        size_bytes = 0
        for key in keys:
            group.append(key)
            size_bytes += len(self._saved.value(key))
            if size_bytes >= BLOCK_BYTES:
                yield group
                group, size_bytes = [], 0
        if group:
            yield group

    async def _load(self, number: int, cell: Cell) -> None:
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
        loaded = _LoadedActions(cell, self.key)
        keys = list(chunks)
        for place, error in await loaded.add(list(chunks.values())):
            self._saved.remove(keys[place], chunks[keys[place]], error)
        size_bytes = 0
        if is_sealed:
            if self._hours is None:
                raise UnsealedHourError(
                    f"{_name(number, cell.hour)} was sealed into Blob Storage: set "
                    "AZURE_STORAGEBLOB_CONNECTIONSTRING or AZURE_STORAGEBLOB_RESOURCEENDPOINT for this worker"
                )
            async for block in self._hours.read(number, cell.hour):
                await self._add_block(number, loaded, block, size_bytes)
                size_bytes += len(block)
        await loaded.count()
        if mark is not None and size_bytes < mark.size_bytes:
            log.error(
                "the sealed hour %d of partition %d has %d bytes, %d were sealed: late events of it may count twice",
                *(cell.hour, number, size_bytes, mark.size_bytes),
            )

    async def _add_block(self, number: int, loaded: "_LoadedActions", block: bytes, start: int) -> None:
        frames = await _call(len(block), list, unpack_block(block))
        broken = [f"at byte {start + one.at}: {one.why}" for one in frames if isinstance(one, BadFrame)]
        found = await loaded.add([one for one in frames if not isinstance(one, BadFrame)])
        for why in (*broken, *(why.detail for _, why in found)):
            log.error("passed over a part of the sealed hour %d of partition %d: %s", loaded.hour, number, why)


class _LoadedActions:
    """The actions of an hour that is loaded. They are checked and counted beside the event loop; their songs get
    numbers in it, which all cells share."""

    def __init__(self, cell: Cell, key: IdentityKey) -> None:
        self._cell = cell
        self._key = key
        self._parts: list[Actions] = []
        self.hour = cell.hour
        self._rows = 0

    async def add(self, values: list[bytes]) -> list[tuple[int, PoisonError]]:
        """Have the actions of saved chunks wait to be counted. Returns the places of those that break a rule."""
        broken: list[tuple[int, PoisonError]] = []
        for start in range(0, len(values), LOAD_CHUNKS):
            group = values[start : start + LOAD_CHUNKS]
            size_bytes = sum(map(len, group))
            chunks, poison = await _call(size_bytes, check_chunks, group, self._key.id, self._cell.songs)
            broken += [(start + place, why) for place, why in poison]
            for chunk in chunks:
                self._parts.append(self._cell.saved_actions(chunk))
                self._rows += len(self._parts[-1])
            if self._rows >= LOAD_ROWS:
                await self.count()
        return broken

    async def count(self) -> None:
        """Count what waits."""
        parts, rows, self._parts, self._rows = self._parts, self._rows, [], 0
        await _call(rows * ROW_BYTES, self._cell.count_saved, parts)


async def _call(size_bytes: int, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call a function that takes so much, beside the event loop unless it is little: after a start there are hundreds
    of small hours."""
    return (
        await asyncio.to_thread(function, *args, **options) if size_bytes > LITTLE_BYTES else function(*args, **options)
    )


def _merged(saved: Mapping[str, bytes], key: IdentityKey) -> tuple[list[bytes], dict[str, PoisonError]]:
    """Saved chunks as few ones, and those that break a rule, by key."""
    chunks: list[SavedChunk] = []
    broken: dict[str, PoisonError] = {}
    for name, value in saved.items():
        try:
            chunks.append(check_chunk(value, key.id))
        except PoisonError as why:
            broken[name] = why
    return list(merged_chunks(chunks, key)), broken


def _name(number: int, hour: int) -> str:
    return f"hour {hour} of partition {number}"


def _is_over(source: SourcePartition, hour: int, now_ms: int) -> bool:
    """Whether the hour is over, and no late event has come for a while."""
    used_ms = source.cells.loaded().get(hour, 0)
    return now_ms >= (hour + 1) * HOUR_MS + OPEN_MS and now_ms - used_ms >= IDLE_MS


def mark_key(number: int, hour: int) -> str:
    """The key of the mark that the hour is sealed."""
    return f"{hour_prefix(number, hour)}{SEALED}/0"
