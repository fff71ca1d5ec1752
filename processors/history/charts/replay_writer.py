"""What a rebuild by a replay writes of a version: of each hour, at the end, and for its worker."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from songline.processors.history.charts.chart_documents import RebuiltDocuments
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.rebuild.projection import RebuildParts
from songline.processors.trending.cells.identity_key import IdentityKey


class ReplayWriter(Protocol):
    """Writes a version's `documents`. `key` is that of the replay's sets; `owner` is as which what is handed over is
    known, empty where nothing is."""

    @property
    def documents(self) -> RebuiltDocuments: ...
    @property
    def key(self) -> IdentityKey: ...
    @property
    def owner(self) -> str: ...

    def go_on(self, replay: ChartReplay, hour: int) -> None:
        """Go on at an hour up to which all is written."""

    async def write_hour(self, replay: ChartReplay, hour: int) -> bool:
        """Write what an hour makes, all before which is applied; return whether hours without events make anything."""

    async def write_end(self, replay: ChartReplay, second: int) -> None:
        """Have the windows end in a second, all up to which is applied, and write how it is then."""

    async def hand_over(self, replay: ChartReplay, second: int) -> None:
        """Give a live worker what it needs to go on after a second."""


OpenWriter = Callable[[RebuildParts], Awaitable[ReplayWriter]]
"""Opens what writes a version. May raise RebuildRefusedError."""
