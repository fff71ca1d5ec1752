"""Partitions are opened together: each asks the hub over a connection of its own."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from azure.core.exceptions import ServiceRequestError
from faust.types import TP

from songline.processors.trending.cells.partition_opener import PartitionOpener
from songline.processors.trending.cells.start_positions import StartPosition
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.progress import Watermark

PARTITIONS = 4
COMMITTED: dict[int, int | None] = dict.fromkeys(range(PARTITIONS))


class Positions:
    """Start positions that are found once all partitions are asked for, but for one that is `away`."""

    def __init__(self, away: int | None = None) -> None:
        self._away = away
        self._asked = asyncio.Barrier(PARTITIONS)

    async def find(self, partition: int, _: int | None) -> StartPosition:
        await self._asked.wait()
        if partition == self._away:
            raise ServiceRequestError("it is away")
        return StartPosition(Watermark(position=-1, through=datetime.now(UTC)), 0)

    async def save(self, *_: object) -> None:
        pass


class Holder:
    """A stage that has these partitions open."""

    def __init__(self) -> None:
        self.held: set[int] = set()

    def open(self, number: int, _: StartPosition) -> None:
        self.held.add(number)

    def close(self, number: int, level: int | None) -> None:
        raise AssertionError(f"closed {number} at {level}")

    def flushed(self, number: int) -> int:
        return -1


async def opened(away: int | None = None) -> tuple[PartitionOpener, Holder, set[TP]]:
    """What is open after one look at partitions that have just been assigned."""

    async def nothing(*_: object) -> None:
        pass

    async def partitions_for(_: str) -> set[int]:
        return set(COMMITTED)

    producer = SimpleNamespace(_producer=SimpleNamespace(partitions_for=partitions_for))
    app: Any = SimpleNamespace(unopened=set(), consumer=SimpleNamespace(rewind=nothing), producer=producer)
    positions: Any = Positions(away)
    opener, holder = PartitionOpener(app, positions, lambda: 0, lambda: 1.0), Holder()
    opener.assigned(holder, COMMITTED)
    assert opener.wake.is_set()
    async with asyncio.timeout(60):
        await opener.poll()
    return opener, holder, app.unopened


async def test_all_partitions_are_asked_for_at_once() -> None:
    opener, holder, unopened = await opened()
    assert (holder.held, unopened, opener.last_error) == (set(range(PARTITIONS)), set(), None)


async def test_one_that_can_not_be_asked_for_keeps_no_other_closed() -> None:
    opener, holder, unopened = await opened(away=2)
    assert (holder.held, unopened) == ({0, 1, 3}, {TP(MUSIC_EVENTS, 2)})
    assert isinstance(opener.last_error, ServiceRequestError)
    assert len(list(opener.reasons())) == 1
