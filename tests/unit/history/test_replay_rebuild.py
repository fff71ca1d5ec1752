"""A rebuild of charts or songs' days that is killed at any write, and begun again, ends as one that is not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings

from songline.audit import chart_reference as reference
from songline.audit.chart_reference import USUAL
from songline.processors.history.charts.chart_documents import ChartDocuments
from songline.processors.history.charts.charts_rebuild import ChartsWriter, HandOver
from songline.processors.history.charts.plays_rebuild import DaysWriter
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.rebuild import passes
from songline.processors.history.rebuild.passes import is_near
from songline.processors.history.rebuild.progress import RebuildCount
from songline.processors.history.rebuild.projection import RebuildParts
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.plays import SongDay
from songline.schemas.policy import V1, ChartPolicy
from tests.support.history import HistoryInFiles, random_history
from tests.support.trending import KEY, hours
from tests.unit.history.test_chart_replay import BEGIN_S, act, random_policy, seeds
from tests.unit.trending.test_pipeline import PARTITIONS

Stored = dict[tuple[str, str], Mapping[str, Any]]
STATE = "@rebuild"


class KilledError(Exception):
    """The process ends here."""


class StoredDocuments(ChartDocuments):
    """Documents in memory, by partition key and id. The process ends instead of the write `dies_at`, None for never."""

    def __init__(self, stored: Stored, key: str, dies_at: int | None) -> None:
        self.stored = stored
        self._key = key
        self._left = dies_at
        self._waiting = {}
        self._waiting_count = 0
        self._container = cast(Any, self)
        self.retries = PersistentRetry("a test")

    async def query_items(self, query: str, **options: object) -> AsyncIterator[str]:
        """The keys of the current charts."""
        for key, name in list(self.stored):
            if name == "current":
                yield key

    async def read_hour(self) -> int | None:
        state = self.stored.get((STATE, STATE))
        return None if state is None else int(state["hour"])

    async def _put_all(self, documents: Sequence[Mapping[str, Any]]) -> None:
        for document in documents:
            await self._put(document)

    async def _put(self, document: Mapping[str, Any]) -> None:
        if self._left == 0:
            raise KilledError
        if self._left is not None:
            self._left -= 1
        self.stored[str(document[self._key]), str(document["id"])] = document


async def hand_over(replay: ChartReplay, second: int) -> None:
    """What would be handed over, which nobody takes over."""
    chunks = replay.take_chunks()
    assert bool(chunks) or not any(day for day in replay.shard.days.backlog.oldest(1))


async def keep(replay: ChartReplay, second: int) -> None:
    """Nothing is handed over."""


def charts(policy: ChartPolicy, documents: StoredDocuments, hand_over: HandOver = hand_over) -> ReplayRebuild:
    """Charts into memory."""

    async def open_writer(parts: RebuildParts) -> ChartsWriter:
        return ChartsWriter(documents, KEY, hand_over)

    return ReplayRebuild(policy, open_writer, save_s=0)


def days(policy: ChartPolicy, documents: StoredDocuments) -> ReplayRebuild:
    """Songs' days into memory."""

    async def open_writer(parts: RebuildParts) -> DaysWriter:
        return DaysWriter(documents)

    return ReplayRebuild(policy, open_writer, save_s=0)


def parts_of(history: HistoryInFiles, until_s: int | None) -> RebuildParts:
    """What a rebuild has: a history, and a hub that has nothing."""

    async def placed(partition: str) -> list[object]:
        return [
            SimpleNamespace(
                file=SimpleNamespace(path=one.path, etag=one.etag), first=one.first, last=one.last, range=one
            )
            for one in await history.spans(partition)
        ]

    async def describe() -> object:
        return SimpleNamespace(partitions=frozenset(), created_at=None)

    read = SimpleNamespace(
        read=history.read, partitions=history.partitions, placed=placed, passing_over=lambda: history
    )
    hub = SimpleNamespace(describe=describe)
    nothing = cast(Any, None)
    return RebuildParts(nothing, nothing, nothing, cast(Any, read), cast(Any, hub), RebuildCount(), until_s)


@settings(max_examples=15, deadline=None)
@given(seeds)
@pytest.mark.parametrize(("kind", "key"), [(charts, "chart"), (days, "songId")])
def test_a_rebuild_that_is_killed_ends_as_one_that_is_not(
    kind: Callable[[ChartPolicy, StoredDocuments], ReplayRebuild], key: str, seed: int
) -> None:
    random = Random(seed)
    policy, rules = random_policy(random)
    events = random_history(random, BEGIN_S, random.choice([1, 12, 20]), act)
    if not events:
        return
    until_s = random.choice(events).second + random.choice([1, 1, 3_601, 90_000, 900_000])
    history = HistoryInFiles(random, events, PARTITIONS)
    whole: Stored = {}
    asyncio.run(kind(policy, StoredDocuments(whole, key, None)).rebuild(parts_of(history, until_s)))
    stored: Stored = {}
    for _ in range(5):
        dies_at = random.randrange(len(whole) + 1)
        try:
            rebuild = kind(policy, StoredDocuments(stored, key, dies_at))
            asyncio.run(rebuild.rebuild(parts_of(history, until_s)))
        except KilledError:
            pass
    asyncio.run(kind(policy, StoredDocuments(stored, key, None)).rebuild(parts_of(history, until_s)))
    assert stored == whole
    if kind is days:
        prefix = [(one.partition, one.position, one.event) for one in events if one.second < until_s]
        # Exactly as late as the longest window is long, it is over once it is counted, or is not: by when that is done.
        late = any((one.second - one.event.time.timestamp()) >= 7 * 86_400 for one in events)
        if not late and rules == USUAL:
            found = [msgspec.convert(dict(document), SongDay) for document in stored.values() if "total" in document]
            assert hours(found) == reference.plays(prefix)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_a_rebuild_in_two_passes_has_the_snapshots_of_one(seed: int) -> None:
    """Also of an hour between them before which nothing more came in."""
    random = Random(seed)
    events = random_history(random, BEGIN_S, random.choice([1, 3, 12]), act)
    if not events:
        return
    first_s = random.choice(events).second + random.choice([1, 600])
    until_s = max(first_s, events[-1].second) + random.choice([1, 3_601, 9_000])
    history = HistoryInFiles(random, events, PARTITIONS)
    found = []
    for ends in ([until_s], [first_s, until_s]):
        stored: Stored = {}
        rebuild = charts(V1, StoredDocuments(stored, "chart", None), keep)

        async def run(rebuild: ReplayRebuild = rebuild, ends: list[int] = ends) -> None:
            for end_s in ends:
                await rebuild.rebuild(parts_of(history, end_s))

        asyncio.run(run())
        found.append({place: one for place, one in stored.items() if place[1] not in ("current", "@progress")})
    assert found[1] == found[0]


def test_days_are_whole_after_a_week_in_which_nothing_comes_in() -> None:
    """Their hours are dropped with the last window that shows them, and no hour without events is looked at."""
    random = Random(4)
    events = [one for one in random_history(random, BEGIN_S, 40, act) if one.second < BEGIN_S + 86_400]
    events = [one for one in events if one.second - one.event.time.timestamp() < 86_400]
    assert events
    stored: Stored = {}
    rebuild = days(V1, StoredDocuments(stored, "songId", None))
    asyncio.run(rebuild.rebuild(parts_of(HistoryInFiles(random, events, PARTITIONS), BEGIN_S + 20 * 86_400)))
    found = [msgspec.convert(dict(document), SongDay) for document in stored.values() if "total" in document]
    assert found
    assert hours(found) == reference.plays([(one.partition, one.position, one.event) for one in events])


@pytest.mark.parametrize(
    ("pass_s", "before_s", "ends"),
    [
        (4.0, None, True),
        (6.0, None, False),
        (6.0, 60.0, False),
        (20.0, 60.0, False),
        # As where events come in at two thirds of the rate at which they are folded: it comes nearer.
        (40.0, 60.0, False),
        (50.0, 60.0, True),
        (7.0, 6.0, True),
    ],
)
def test_passes_end_where_more_would_come_no_nearer(pass_s: float, before_s: float | None, *, ends: bool) -> None:
    assert is_near(pass_s, before_s) is ends


def test_a_rebuild_to_the_hubs_end_ends_on_a_machine_on_which_no_pass_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "NEAR_S", 0.0)
    random = Random(7)
    events = random_history(random, BEGIN_S, 20, act)
    until_s = events[-1].second + 3
    stored: Stored = {}

    async def open_writer(parts: RebuildParts) -> ChartsWriter:
        return ChartsWriter(StoredDocuments(stored, "chart", None), KEY, keep)

    parts = parts_of(HistoryInFiles(random, events, PARTITIONS), None)
    rebuild = ReplayRebuild(V1, open_writer, now_s=lambda: until_s)
    asyncio.run(asyncio.wait_for(rebuild.rebuild(parts), 120))
    assert stored
