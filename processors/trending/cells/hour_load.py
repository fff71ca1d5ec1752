"""The loading of hours beside the flushes, which wait for it no longer than for a moment."""

import asyncio
from typing import NamedTuple

from songline.processors.trending.cells.partition_cells import PartitionCells

LOAD_WAIT_S = 0.5
"""A flush waits for the hours that its partitions miss until so long after they were asked for; they are flushed by a
later one then."""
OPEN_WAIT_S = 10.0
"""The same for open hours that are loaded after a start: all partitions wait for theirs then."""


class HourLoad(NamedTuple):
    """The loading of what the cells of a partition miss. A flush waits for it until a moment of the event loop."""

    cells: PartitionCells
    task: asyncio.Task[None]
    until_s: float
