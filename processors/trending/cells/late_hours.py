"""The hours that were over long ago: loaded in part by their indexes, which are made here, and not held for long.

What can't be used of an index is never needed: the hour is loaded as a whole then, and its index is made anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from azure.core.exceptions import AzureError

from songline.processors.trending.cells.derived_file import BrokenFileError
from songline.processors.trending.cells.hour_index import HourIndex
from songline.processors.trending.cells.hour_indexes import HourIndexes, IndexReplacedError
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.index_builder import IndexBuilder
from songline.processors.trending.cells.partition_cells import CellUse, PartitionCells
from songline.processors.trending.cells.sealed_blocks import unpack_block
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.cells.validation import check_chunks
from songline.processors.trending.spans import HOUR_MS, has_passed

log = logging.getLogger(__name__)

OPEN_MS = 600_000
"""An hour is open for so long after its end: most events that are late have come by then."""
IDLE_MS = 60_000
"""An hour that is over stays in memory for so long after the last event that was late."""
LATE_IDLE_MS = 300_000
"""So it is an hour after its end. It is sealed when it leaves: that is a block, which takes four requests, and late
events may come for each hour of a week all the time."""
LATE_MS = HOUR_MS
"""So long after its end no window shows a minute of an hour: only its counts as a whole matter."""
HELD_MS = 600_000
"""A late hour stays in memory for so long, if late events go on coming for it."""
HELD_ROWS = 500_000
"""Actions of a partition's late hours that are held in memory beyond IDLE_MS."""

INDEXED_BYTES = 1_000_000
"""An hour of which so much is sealed gets an index: to load less takes no longer than to ask an index."""

ASKED_BYTES, ASKED_SHARE = 1_000_000, 0.25
"""Events that ask for more of an index than so many bytes, and this share of what the hour has, load the hour as a
whole: many more of them may come."""


def open_hours(now_ms: int) -> list[int]:
    """The hours for which most events come."""
    return sorted({now_ms // HOUR_MS, (now_ms - OPEN_MS) // HOUR_MS})


def is_late(hour: int, now_ms: int) -> bool:
    """Whether an hour was over long ago."""
    return now_ms >= (hour + 1) * HOUR_MS + LATE_MS


def has_index(hour: int, sealed_bytes: int, now_ms: int) -> bool:
    """Whether an hour of which so much is sealed is to have an index by now."""
    return is_late(hour, now_ms) and sealed_bytes >= INDEXED_BYTES


def is_over(hour: int, use: CellUse | None, now_ms: int, held_ms: int = 0) -> bool:
    """Whether an hour is over, and no late event has come for a while. `use`: of its cell, if that is in memory;
    `held_ms`: since when its partition is held, before which events may have come for it."""
    last_ms = max(held_ms, 0 if use is None else use.last_ms)
    idle_ms = LATE_IDLE_MS if is_late(hour, now_ms) else IDLE_MS
    return now_ms >= (hour + 1) * HOUR_MS + OPEN_MS and has_passed(idle_ms, last_ms, now_ms)


def hours_to_unload(uses: Mapping[int, CellUse], now_ms: int) -> list[int]:
    """The hours of a partition that leave its memory, by how their cells were used."""
    late = {hour for hour in uses if is_late(hour, now_ms)}
    done = {hour for hour in late if has_passed(HELD_MS, uses[hour].first_ms, now_ms)}
    done |= {hour for hour, use in uses.items() if is_over(hour, use, now_ms)}
    rows = sum(uses[hour].rows for hour in late - done)
    for hour in sorted(late - done, key=lambda one: uses[one].first_ms):
        if rows > HELD_ROWS and has_passed(IDLE_MS, uses[hour].first_ms, now_ms):
            done.add(hour)
            rows -= uses[hour].rows
    return sorted(done)


class LateHours:
    """The late hours of the partitions in `hours`. `open` and `ask` raise AzureError."""

    def __init__(self, hours: SealedHours, key: IdentityKey) -> None:
        self._hours = hours
        self._key = key
        self._indexes = HourIndexes(hours)
        self._indexed: dict[int, set[int]] = {}
        """The hours that have an index, by partition, as far as it is known."""
        self._outdated: set[tuple[int, int]] = set()
        """The indexes that are to be made anew."""
        self._refused: set[tuple[int, int]] = set()
        """The indexes that can't be used as they are."""
        self._making: dict[tuple[int, int], asyncio.Event] = {}

    async def open(self, number: int, hour: int) -> HourIndex | None:
        """The index of an hour, None where the hour has to be loaded as a whole."""
        if (making := self._making.get((number, hour))) is not None:
            # The hour and its index would be in memory at once.
            await making.wait()
        if (number, hour) in self._refused:
            return None
        try:
            index = await self._indexes.open(number, hour)
            if index is not None and index.key != self._key.id:
                raise BrokenFileError(f"made under the key {index.key.hex()[:32]}, here is {self._key.id.hex()}")
        except BrokenFileError as why:
            self.refuse(number, hour, why)
            return None
        if index is None:
            self._indexed.get(number, set()).discard(hour)
        return index

    async def ask(self, number: int, cells: PartitionCells, hour: int) -> bool:
        """Have the hour's cell know what its index says of the events that wait; False where the hour had better be
        loaded as a whole. Where the index can't be used any more, the hour is missing again."""
        cell, batches = cells.indexed_cell(hour), cells.unasked(hour)
        if cell is None or not batches:
            return True
        question = cell.question(batches)
        rows, counts = cell.runs(question)
        asked_bytes = sum(run.end_byte - run.begin_byte for run in [*rows, *counts])
        if asked_bytes > max(ASKED_BYTES, cell.index.size_bytes * ASKED_SHARE):
            cells.drop(hour)
            return False
        try:
            pages = await self._indexes.read(number, hour, cell.index, [*rows, *counts])
            cell.answer(question, pages[: len(rows)], pages[len(rows) :])
        except BrokenFileError as why:
            self.refuse(number, hour, why)
            cells.drop(hour)
        except IndexReplacedError:
            cells.drop(hour)
        else:
            cells.add_asked(hour, len(batches))
        return True

    def refuse(self, number: int, hour: int, why: Exception) -> None:
        """Don't use the index of an hour until it is made anew."""
        log.error(
            "the index of hour %d of partition %d can't be used, the hour is loaded as a whole: %s", hour, number, why
        )
        self._refused.add((number, hour))
        self._outdated.add((number, hour))

    def add_loaded(self, number: int, hour: int, index: HourIndex, size_bytes: int) -> None:
        """Note how large the blob is of an hour that was loaded by its index."""
        if size_bytes - index.size_bytes > max(INDEXED_BYTES, index.size_bytes // 4):
            self._outdated.add((number, hour))

    async def make_one(self, number: int, hours: Iterable[int]) -> None:
        """Make the index of the last one of these hours that needs it. Where that goes wrong, the next call does it."""
        try:
            if number not in self._indexed:
                self._indexed[number] = await self._hours.indexed(number)
            needed = [one for one in hours if one not in self._indexed[number] or (number, one) in self._outdated]
            if needed:
                async with self._made(number, max(needed)):
                    await self._make(number, max(needed))
        except AzureError as error:
            log.warning("no index could be made for partition %d, trying again: %s", number, error)

    def forget_before(self, number: int, hour: int) -> None:
        """Forget the hours of a partition that are deleted."""
        if number in self._indexed:
            self._indexed[number] = {one for one in self._indexed[number] if one >= hour}
        for places in (self._outdated, self._refused):
            places.difference_update({place for place in places if place[0] == number and place[1] < hour})

    @asynccontextmanager
    async def _made(self, number: int, hour: int) -> AsyncIterator[None]:
        place = number, hour
        made = self._making[place] = asyncio.Event()
        try:
            yield
        finally:
            del self._making[place]
            made.set()
        self._indexed[number].add(hour)
        self._outdated.discard(place)
        self._refused.discard(place)

    async def _make(self, number: int, hour: int) -> None:
        blocks = await self._hours.blocks(number, hour)
        builder = IndexBuilder(sum(one.size for one in blocks), self._key)
        # What is added meanwhile may be in the index, and is looked up in it as what else it does not cover.
        async for block in self._hours.read(number, hour):
            await asyncio.to_thread(_take, builder, block, self._key)
        if blocks:
            await self._indexes.make(number, hour, builder, [one.id for one in blocks])
            log.info("made the index of hour %d of partition %d", hour, number)


def _take(builder: IndexBuilder, block: bytes, key: IdentityKey) -> None:
    """Take the chunks of a block. Those that can't be used are passed over, as where the hour is loaded as a whole."""
    chunks, _ = check_chunks([one for one in unpack_block(block) if isinstance(one, bytes)], key.id)
    builder.add(chunks)
