"""What the trending worker says of its partitions: no better than it is."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from songline.processors.runtime.progress import ProgressTracker
from songline.processors.trending.cells.source_partition import AT_END_MARGIN_MS
from songline.processors.trending.faust.batched_app import FetchPosition
from songline.processors.trending.progress_observer import ProgressObserver
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.progress_report import PartitionProgress

PARTITION = TP(MUSIC_EVENTS, 0)
NOON_MS = 1_795_867_200_000
ANSWER_MS = 3_000
"""How long the hub takes for an answer."""


class Hub:
    """A hub whose partition has events up to `end`, 7 of which are applied. `polled_ms`: when it was fetched last."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS
        self.end = 7
        self.polled_ms: int | None = None
        app: Any = SimpleNamespace(
            consumer=self, rebalancing=False, tables=SimpleNamespace(actives_ready=True), gaps={}
        )
        self.observer = ProgressObserver(
            app,
            ProgressTracker("trending"),
            [self],
            list,
            list,
            list,
            list,
            lambda: self.now_ms,
            lambda: self.now_ms / 1_000,
        )

    def progress(self) -> Iterator[tuple[TP, int, int | None]]:
        yield PARTITION, 7, None

    def fetch_position(self, tp: TP) -> FetchPosition | None:
        return None if self.polled_ms is None else FetchPosition(self.end + 1, self.polled_ms)

    async def highwaters(self, *tps: TP) -> dict[TP, int | None]:
        self.now_ms += ANSWER_MS
        return dict.fromkeys(tps, self.end + 1)

    async def observed(self) -> PartitionProgress:
        await self.observer.observe()
        (found,) = self.observer.report().partitions
        return found


async def test_what_came_while_the_hub_answered_is_as_old_as_the_question() -> None:
    hub = Hub()
    assert (await hub.observed()).events_behind == 0
    hub.end = 8
    found = await hub.observed()
    assert (found.events_behind, found.age_seconds) == (1, 2 * ANSWER_MS / 1_000)


async def test_what_came_since_the_last_fetch_may_be_as_old_as_that() -> None:
    hub = Hub()
    hub.polled_ms = NOON_MS - 9_000
    assert (await hub.observed()).events_behind == 0
    hub.polled_ms, hub.end = NOON_MS, 8
    found = await hub.observed()
    assert (found.events_behind, found.age_seconds) == (1, (9_000 + AT_END_MARGIN_MS) / 1_000)


async def test_an_end_that_was_fetched_before_the_clock_was_set_back_is_asked_for_again() -> None:
    hub = Hub()
    hub.polled_ms = NOON_MS + 3_600_000
    await hub.observed()
    assert hub.now_ms == NOON_MS + ANSWER_MS
