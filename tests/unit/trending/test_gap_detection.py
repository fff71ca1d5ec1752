"""A batch that Faust dropped is noticed and read again; one that is gone by retention is not waited for."""

from faust.types import TP

from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.gap_detection import GapDetector

HUB = "music-events"


class Consumer:
    def __init__(self, oldest: int) -> None:
        self._oldest = oldest
        self.sought: list[tuple[TP, int]] = []

    async def earliest_offsets(self, tp: TP) -> dict[TP, int]:
        return {tp: self._oldest}

    async def seek_wait(self, partitions: dict[TP, int]) -> None:
        self.sought += partitions.items()


class App:
    def __init__(self, oldest: int = 0) -> None:
        self.consumer = Consumer(oldest)


def batch(begin: int, end: int) -> Batch:
    return Batch(begin, end, range(begin, end), [0] * (end - begin), [b""] * (end - begin))


async def test_a_dropped_batch_is_read_again_and_what_came_after_it_is_not_taken() -> None:
    app = App()
    order = GapDetector(app, HUB)
    order.start({0: 10})
    assert await order.follows(0, batch(10, 20))
    assert not await order.follows(0, batch(30, 40)), "20 to 29 are missing"
    assert app.consumer.sought == [(TP(HUB, 0), 20)]
    assert await order.follows(0, batch(20, 40))


async def test_repeats_are_taken() -> None:
    order = GapDetector(App(), HUB)
    order.start({0: 10})
    for begin in (10, 10, 5):
        assert await order.follows(0, batch(begin, 20))
    assert await order.follows(0, batch(20, 30)), "a repeat doesn't set the place back"


async def test_what_retention_deleted_is_not_waited_for() -> None:
    app = App(oldest=30)
    order = GapDetector(app, HUB)
    order.start({0: 10})
    assert await order.follows(0, batch(30, 40))
    assert app.consumer.sought == []


async def test_nothing_is_taken_of_a_partition_that_is_not_held() -> None:
    order = GapDetector(App(), HUB)
    order.start({0: 0})
    assert not await order.follows(1, batch(0, 5))
