"""What comes to partitions that are read to their end is gathered, and no other partition waits for it."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.structs import TopicPartition

from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.gathering import BUSY_WAIT_MS, FEW, MAX_WAIT_MS, Gathering
from tests.support.waiting import wait_for_async

EVENTS, OTHER = TopicPartition("music-events", 0), TopicPartition("music-events", 1)
PARTIALS = TopicPartition("trending-partials", 0)
CHANGELOG = TopicPartition("songline-trending-cells-changelog", 0)
HUBS = {"music-events", "trending-partials"}
PAUSE_S = 60.0
"""No test takes so long: what is gathered is gathered to its end, on a machine that is busy too."""


def fetched(*tps: TopicPartition, events: int = FEW) -> dict[TopicPartition, list[Batch]]:
    batch = Batch(0, events, range(events), [0] * events, [b""] * events)
    return {tp: [batch] for tp in tps}


class OneFetcher:
    """As much of aiokafka's Fetcher as is used: its plan says which partitions it asks for, and for how long."""

    def __init__(self, ends: dict[TopicPartition, tuple[int, int]]) -> None:
        self._fetch_max_wait_ms = 500
        self._records: dict[TopicPartition, object] = {}
        states = {tp: _state(position, end) for tp, (position, end) in ends.items()}
        self._assignment = SimpleNamespace(tps=list(states), state_value=states.__getitem__)
        self._subscriptions = SimpleNamespace(subscription=SimpleNamespace(assignment=self._assignment))

    def _get_actions_per_node(self, assignment: Any) -> tuple[set[TopicPartition], int]:
        return {tp for tp in assignment.tps if not assignment.state_value(tp).paused}, self._fetch_max_wait_ms

    def plan(self) -> tuple[set[TopicPartition], int]:
        return self._get_actions_per_node(self._assignment)


def _state(position: int, end: int) -> TopicPartitionState:
    state = TopicPartitionState(SimpleNamespace())
    state._position, state.highwater = position, end
    return state


async def test_partitions_at_their_end_are_left_out_for_a_while() -> None:
    fetcher = OneFetcher({EVENTS: (7, 7), OTHER: (9, 9), PARTIALS: (3, 3)})
    gathering = Gathering({"music-events": PAUSE_S}, HUBS)
    gathering.attach(fetcher)
    assert fetcher.plan() == ({EVENTS, OTHER, PARTIALS}, MAX_WAIT_MS)
    gathering.begin(fetched(EVENTS))
    asked, wait_ms = fetcher.plan()
    assert asked == {PARTIALS}
    assert 0 < wait_ms <= PAUSE_S * 1_000, "a fetch of the others is over when the pause is"


async def test_after_the_pause_all_are_asked_for_again() -> None:
    fetcher = OneFetcher({EVENTS: (7, 7), OTHER: (9, 9), PARTIALS: (3, 3)})
    gathering = Gathering({"music-events": 0.05}, HUBS)
    gathering.attach(fetcher)
    began_s = asyncio.get_running_loop().time()
    gathering.begin(fetched(EVENTS))

    async def all_are_asked_for() -> bool:
        return fetcher.plan() == ({EVENTS, OTHER, PARTIALS}, MAX_WAIT_MS)

    await wait_for_async(all_are_asked_for, "the end of the pause")
    assert asyncio.get_running_loop().time() >= began_s + 0.05


async def test_a_partition_that_is_behind_is_asked_for_at_once() -> None:
    fetcher = OneFetcher({EVENTS: (7, 7), OTHER: (9, 5_000)})
    gathering = Gathering({"music-events": PAUSE_S}, HUBS)
    gathering.attach(fetcher)
    gathering.begin(fetched(EVENTS, OTHER))
    assert fetcher.plan()[0] == {OTHER}


async def test_other_hubs_are_not_gathered() -> None:
    fetcher = OneFetcher({EVENTS: (7, 7), PARTIALS: (3, 3)})
    gathering = Gathering({"music-events": PAUSE_S}, HUBS)
    gathering.attach(fetcher)
    gathering.begin(fetched(PARTIALS))
    assert fetcher.plan() == ({EVENTS, PARTIALS}, MAX_WAIT_MS)


async def test_few_events_are_gathered_for_longer() -> None:
    fetcher = OneFetcher({EVENTS: (7, 7)})
    gathering = Gathering({"music-events": PAUSE_S}, HUBS)
    gathering.attach(fetcher)
    gathering.begin(fetched(EVENTS, events=FEW - 1))
    assert fetcher.plan()[1] > 2 * PAUSE_S * 1_000


async def test_a_fetch_that_leaves_out_a_partition_waits_for_a_moment_only() -> None:
    fetcher = OneFetcher({EVENTS: (7, 7), PARTIALS: (3, 3)})
    gathering = Gathering({"music-events": PAUSE_S}, HUBS)
    gathering.attach(fetcher)
    fetcher._records = {CHANGELOG: object()}
    assert fetcher.plan()[1] == MAX_WAIT_MS, "of a changelog that is recovered nothing is taken"
    fetcher._records = {CHANGELOG: object(), PARTIALS: object()}
    assert fetcher.plan()[1] == BUSY_WAIT_MS
    gathering.begin(fetched(EVENTS))
    assert fetcher.plan()[1] == BUSY_WAIT_MS
