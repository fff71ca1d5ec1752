"""What was saved of an hour, on its way into a cell."""

import asyncio
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from songline.processors.trending.cells.chunks import Actions
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.sealed_blocks import BadFrame, unpack_block
from songline.processors.trending.cells.state import Cell
from songline.processors.trending.cells.validation import check_chunks
from songline.schemas.errors import PoisonError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LOAD_ROWS = 1_000_000
"""Actions of an hour that is loaded are counted so many at once, by sorting them: some 50 bytes each meanwhile. Those
behind them are looked up among those before and merged with them, which takes longer than sorting."""
LOAD_CHUNKS = 100
"""Saved chunks are checked so many at once: 9 MB of actions at most."""
LITTLE_BYTES = 50_000
"""So much of an hour is checked and counted in a millisecond, and a thread would take as long to begin."""
ROW_BYTES = 22
"""What an action takes in a chunk, without the name of its song."""


class LoadedActions:
    """The actions of an hour that is loaded. They are checked and counted beside the event loop; their songs get
    numbers in it, which all cells share."""

    def __init__(self, cell: Cell, key: IdentityKey) -> None:
        self._cell = cell
        self._key = key
        self._parts: list[Actions] = []
        self._rows = 0

    async def add(self, values: list[bytes]) -> list[tuple[int, PoisonError]]:
        """Have the actions of saved chunks wait to be counted. Returns the places of those that break a rule."""
        broken: list[tuple[int, PoisonError]] = []
        for start in range(0, len(values), LOAD_CHUNKS):
            group = values[start : start + LOAD_CHUNKS]
            size_bytes = sum(map(len, group))
            chunks, poison = await call_beside(size_bytes, check_chunks, group, self._key.id, self._cell.songs)
            broken += [(start + place, why) for place, why in poison]
            for chunk in chunks:
                self._parts.append(self._cell.saved_actions(chunk))
                self._rows += len(self._parts[-1])
            if self._rows >= LOAD_ROWS:
                await self.count()
        return broken

    async def add_block(self, number: int, block: bytes, start: int) -> None:
        """Have the actions of a sealed block of partition `number` wait to be counted. It begins at byte `start` of the
        hour's blob; what can't be used of it is named in an error."""
        frames = await call_beside(len(block), list, unpack_block(block))
        broken = [f"at byte {start + one.at}: {one.why}" for one in frames if isinstance(one, BadFrame)]
        found = await self.add([one for one in frames if not isinstance(one, BadFrame)])
        for why in (*broken, *(why.detail for _, why in found)):
            log.error("passed over a part of the sealed hour %d of partition %d: %s", self._cell.hour, number, why)

    async def count(self) -> None:
        """Count what waits."""
        parts, rows, self._parts, self._rows = self._parts, self._rows, [], 0
        await call_beside(rows * ROW_BYTES, self._cell.count_saved, parts)


async def call_beside(size_bytes: int, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call a function that takes so much, beside the event loop unless it is little: after a start there are hundreds
    of small hours."""
    return (
        await asyncio.to_thread(function, *args, **options) if size_bytes > LITTLE_BYTES else function(*args, **options)
    )
