"""What a rebuild by a replay writes of a version: of each hour, at the end, and for its worker."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from songline.processors.history.charts.chart_documents import RebuiltDocuments
from songline.processors.history.charts.checkpoints import CheckpointBlobs
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.rebuild.projection import RebuildParts
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.schemas.progress import Watermark


class ReplayWriter(Protocol):
    """Writes a version's `documents`. `key` is that of the replay's sets, which is saved in `checkpoints`."""

    @property
    def documents(self) -> RebuiltDocuments: ...
    @property
    def key(self) -> IdentityKey: ...
    @property
    def checkpoints(self) -> CheckpointBlobs: ...

    async def remove_handed_over(self) -> None:
        """Remove what a live worker was given, which is not of the replay that begins."""

    async def write_hour(self, replay: ChartReplay, hour: int) -> bool:
        """Write what an hour makes, all before which is applied; return whether hours without events make anything."""

    async def write_end(self, replay: ChartReplay, second: int) -> None:
        """Have the windows end in a second, all up to which is applied, and write how it is then."""

    async def hand_over(self, replay: ChartReplay, sources: Mapping[int, Watermark]) -> None:
        """Give a live worker what it needs to go on after the watermarks of the partitions."""


OpenWriter = Callable[[RebuildParts], AbstractAsyncContextManager[ReplayWriter]]
"""Opens what writes a version, for one call of a rebuild. May raise RebuildRefusedError."""
