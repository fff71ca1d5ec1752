"""Sealed blocks of open hours, loaded while the group still shares partitions out.

The blocks of a blob stay, and an action that a cell knows counts no second time. So blocks may be read before it is
known what the changelog holds: once the partition is assigned its chunks are read, and then the blocks behind those.
That is the order of every load, so what another owner seals meanwhile is seen in one place at least.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from azure.core.exceptions import AzureError

from songline.processors.trending.cells.hour_images import HourImages
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.loaded_actions import LoadedActions
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.sealed_hours import OtherBlocksError, SealedHours
from songline.processors.trending.cells.state import Cell

log = logging.getLogger(__name__)


class EarlyCell(NamedTuple):
    """A cell that has counted the first blocks of its hour's blob: their ids, and how many bytes they have."""

    cell: Cell
    blocks: tuple[str, ...]
    size_bytes: int


EarlyLoads: TypeAlias = "Mapping[int, asyncio.Task[EarlyCell | None]]"
"""What is loaded of a partition, by hour; None where nothing is sealed, or can be read."""


class EarlyPartition(NamedTuple):
    """Cells of a partition that are not in use, and what is loaded for them."""

    cells: PartitionCells
    loads: EarlyLoads


class EarlyHours:
    """Loads hours of partitions that are not assigned yet."""

    def __init__(self, hours: SealedHours, images: HourImages, key: IdentityKey) -> None:
        self._hours = hours
        self._images = images
        self._key = key
        self._partitions: dict[int, EarlyPartition] = {}

    def begin(self, number: int, cells: PartitionCells, hours: Iterable[int]) -> None:
        """Load these hours of a partition for `cells`."""
        loads = {hour: asyncio.create_task(self._load_early(number, cells.new_cell(hour))) for hour in hours}
        self._partitions[number] = EarlyPartition(cells, loads)

    def take(self, number: int) -> EarlyPartition | None:
        """What is loaded of a partition, None where nothing is. It is given away once."""
        return self._partitions.pop(number, None)

    def drop(self) -> None:
        """Load no more of what nobody has taken."""
        for partition in self._partitions.values():
            cancel(partition.loads)
        self._partitions.clear()

    async def load(self, number: int, cell: Cell) -> EarlyCell | None:
        """Load what is sealed of an hour into a new cell; None where nothing is. Raises AzureError."""
        loaded = LoadedActions(cell, self._key)
        # A block that is added after this is read once more later, and known by then.
        blocks = await self._hours.blocks(number, cell.hour)
        behind, size_bytes = await self._images.restore(number, cell, blocks)
        try:
            async for block in self._hours.read(number, cell.hour, behind):
                await loaded.add_block(number, block, size_bytes)
                size_bytes += len(block)
        except OtherBlocksError:
            # It was deleted meanwhile.
            return None
        await loaded.count()
        if not blocks:
            return None
        return EarlyCell(cell, tuple(one.id for one in blocks), sum(one.size for one in blocks))

    async def _load_early(self, number: int, cell: Cell) -> EarlyCell | None:
        try:
            loaded = await self.load(number, cell)
        except AzureError as error:
            log.info("hour %d of partition %d is not loaded early: %s", cell.hour, number, error)
            return None
        if loaded is not None:
            size = loaded.size_bytes
            log.info("hour %d of partition %d: %d bytes are loaded before it is assigned", cell.hour, number, size)
        return loaded


def cancel(loads: EarlyLoads) -> None:
    """Load no more of these; what is loaded stays."""
    for load in loads.values():
        load.cancel()
