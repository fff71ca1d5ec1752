"""Partitions are opened together: each asks the hub over a connection of its own."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from azure.core.exceptions import ServiceRequestError
from faust.types import TP
from msgspec import structs

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

    async def save(self, partition: int, reached: Watermark) -> None:
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


def opener_of(positions: Any) -> tuple[PartitionOpener, Holder, set[TP]]:
    """What opens partitions, what holds them, and which are not open."""

    async def nothing(*_: object) -> None:
        pass

    async def partitions_for(_: str) -> set[int]:
        return set(COMMITTED)

    producer = SimpleNamespace(_producer=SimpleNamespace(partitions_for=partitions_for))
    unopened = set[TP]()
    consumer = SimpleNamespace(rewind=nothing, hand_over=unopened.discard)
    app: Any = SimpleNamespace(unopened=unopened, consumer=consumer, producer=producer)
    return PartitionOpener(app, positions, lambda: 0, lambda: 1.0), Holder(), app.unopened


async def opened(away: int | None = None) -> tuple[PartitionOpener, Holder, set[TP]]:
    """What is open after one look at partitions that have just been assigned."""
    opener, holder, unopened = opener_of(Positions(away))
    opener.assigned(holder, COMMITTED)
    assert opener.wake.is_set()
    async with asyncio.timeout(60):
        await opener.poll()
    return opener, holder, unopened


async def test_all_partitions_are_asked_for_at_once() -> None:
    opener, holder, unopened = await opened()
    assert (holder.held, unopened, opener.last_error) == (set(range(PARTITIONS)), set(), None)


class GatheredPositions(Positions):
    """Saves positions once all of them are to be saved."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[int] = []
        self._saving = asyncio.Barrier(PARTITIONS)

    async def save(self, partition: int, reached: Watermark) -> None:
        self.saved.append(partition)
        if len(self.saved) > PARTITIONS:
            # The first ones are of partitions as they are opened.
            await self._saving.wait()


async def test_how_far_partitions_are_read_is_saved_of_all_at_once() -> None:
    positions = GatheredPositions()
    opener, holder, _ = opener_of(positions)
    opener.assigned(holder, COMMITTED)
    async with asyncio.timeout(60):
        await opener.poll()
        assert len(positions.saved) == PARTITIONS
        await opener.save_before_revoked()
    assert sorted(positions.saved[PARTITIONS:]) == list(range(PARTITIONS))


class NotedPositions(Positions):
    """Positions of which the store says all but how far they are by now. To save one would last."""

    async def find(self, partition: int, committed: int | None) -> StartPosition:
        return structs.replace(await super().find(partition, committed), is_noted=True)

    async def save(self, partition: int, reached: Watermark) -> None:
        await asyncio.Event().wait()


async def test_a_partition_of_which_enough_is_noted_is_opened_without_a_write() -> None:
    opener, holder, unopened = opener_of(NotedPositions())
    opener.assigned(holder, COMMITTED)
    async with asyncio.timeout(60):
        await opener.poll()
    assert (holder.held, unopened) == (set(range(PARTITIONS)), set())


async def test_one_that_can_not_be_asked_for_keeps_no_other_closed() -> None:
    opener, holder, unopened = await opened(away=2)
    assert (holder.held, unopened) == ({0, 1, 3}, {TP(MUSIC_EVENTS, 2)})
    assert isinstance(opener.last_error, ServiceRequestError)
    assert len(list(opener.reasons())) == 1


class CountedPositions(Positions):
    """Counts how often each partition is asked for; `answered` is set when all are."""

    def __init__(self, away: int | None = None) -> None:
        super().__init__(away)
        self.asked: list[int] = []
        self.answered = asyncio.Event()

    async def find(self, partition: int, committed: int | None) -> StartPosition:
        self.asked.append(partition)
        if len(self.asked) > PARTITIONS:
            return StartPosition(Watermark(position=-1, through=datetime.now(UTC)), 0)
        try:
            return await super().find(partition, committed)
        finally:
            self.answered.set()


async def test_partitions_are_asked_for_when_they_are_assigned_and_opened_by_the_first_poll() -> None:
    positions = CountedPositions()
    opener, holder, unopened = opener_of(positions)
    opener.assigned(holder, COMMITTED)
    async with asyncio.timeout(60):
        await positions.answered.wait()
        assert (holder.held, len(unopened)) == (set(), PARTITIONS)
        await opener.poll()
    assert (holder.held, unopened) == (set(range(PARTITIONS)), set())
    assert sorted(positions.asked) == list(range(PARTITIONS))


async def test_one_that_could_not_be_asked_for_is_asked_for_again_by_the_second_poll() -> None:
    positions = CountedPositions(away=2)
    opener, holder, unopened = opener_of(positions)
    opener.assigned(holder, COMMITTED)
    async with asyncio.timeout(60):
        await opener.poll()
        first = opener.last_error
        await opener.poll()
    assert isinstance(first, ServiceRequestError)
    assert (opener.last_error, unopened, positions.asked[PARTITIONS:]) == (None, set(), [2])


async def test_what_was_asked_for_partitions_that_are_given_up_opens_none() -> None:
    positions = CountedPositions(away=2)
    opener, holder, unopened = opener_of(positions)
    opener.assigned(holder, COMMITTED)
    async with asyncio.timeout(60):
        await positions.answered.wait()
        opener.revoked()
        opener.assigned(holder, {0: None})
        await opener.poll()
    assert (holder.held, unopened, positions.asked[PARTITIONS:]) == ({0}, set(), [0])
