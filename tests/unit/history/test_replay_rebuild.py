"""A rebuild of charts or songs' days that is killed at any write, and begun again, ends as one that is not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings

from songline.processors.history.charts.chart_documents import ChartDocuments, RebuiltDocuments
from songline.processors.history.charts.charts_rebuild import ChartsRebuild
from songline.processors.history.charts.plays_rebuild import PlaysRebuild
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.rebuild.progress import RebuildCount
from songline.processors.history.rebuild.projection import RebuildParts
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.schemas.plays import SongDay
from songline.schemas.policy import V1, ChartPolicy
from tests.support import reference
from tests.support.history import HistoryInFiles, random_history
from tests.support.reference import USUAL
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

    async def _put(self, document: Mapping[str, Any]) -> None:
        if self._left == 0:
            raise KilledError
        if self._left is not None:
            self._left -= 1
        self.stored[str(document[self._key]), str(document["id"])] = document


class Charts(ChartsRebuild):
    """Charts into memory, which nobody takes over."""

    def __init__(self, policy: ChartPolicy, documents: StoredDocuments) -> None:
        ReplayRebuild.__init__(self, policy, save_s=0)
        self._documents = documents
        self._key = KEY
        self._shards = 2

    async def prepare(self, parts: RebuildParts) -> None:
        return

    def identity_key(self) -> IdentityKey:
        return KEY

    def open_documents(self, parts: RebuildParts) -> RebuiltDocuments:
        return self._documents

    async def hand_over(self, parts: RebuildParts, replay: ChartReplay, second: int) -> None:
        chunks = replay.take_chunks()
        assert bool(chunks) or not any(shard.days.backlog.end for shard in replay.shards)


class Days(PlaysRebuild):
    """Songs' days into memory."""

    def __init__(self, policy: ChartPolicy, documents: StoredDocuments) -> None:
        super().__init__(policy, save_s=0)
        self._documents = documents

    def open_documents(self, parts: RebuildParts) -> RebuiltDocuments:
        return self._documents


def parts_of(history: HistoryInFiles, until_s: int) -> RebuildParts:
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

    read = SimpleNamespace(read=history.read, partitions=history.partitions, placed=placed)
    hub = SimpleNamespace(describe=describe)
    nothing = cast(Any, None)
    return RebuildParts(nothing, nothing, nothing, cast(Any, read), cast(Any, hub), RebuildCount(), until_s)


@settings(max_examples=15, deadline=None)
@given(seeds)
@pytest.mark.parametrize(("kind", "key"), [(Charts, "chart"), (Days, "songId")])
def test_a_rebuild_that_is_killed_ends_as_one_that_is_not(kind: type[Charts] | type[Days], key: str, seed: int) -> None:
    random = Random(seed)
    policy, rules = random_policy(random)
    events = random_history(random, BEGIN_S, random.choice([1, 12, 20]), act)
    if not events:
        return
    until_s = random.choice(events).second + random.choice([1, 1, 3_601, 90_000])
    history = HistoryInFiles(random, events, PARTITIONS)
    whole: Stored = {}
    asyncio.run(kind(policy, StoredDocuments(whole, key, None)).rebuild(parts_of(history, until_s)))
    stored: Stored = {}
    for _ in range(5):
        dies_at = random.randrange(len(whole) + 1)
        try:
            rebuild = kind(policy, StoredDocuments(stored, key, dies_at))
            asyncio.run(rebuild.rebuild(parts_of(history, until_s)))
        except* KilledError:
            pass
    asyncio.run(kind(policy, StoredDocuments(stored, key, None)).rebuild(parts_of(history, until_s)))
    assert stored == whole
    if kind is Days:
        prefix = [(one.partition, one.position, one.event) for one in events if one.second < until_s]
        # Exactly as late as the longest window is long, it is over once it is counted, or is not: by when that is done.
        late = any((one.second - one.event.time.timestamp()) >= 7 * 86_400 for one in events)
        if not late and rules == USUAL:
            days = [msgspec.convert(dict(document), SongDay) for document in stored.values() if "total" in document]
            assert hours(days) == reference.plays(prefix)


class ChartsOfPasses(Charts):
    """Charts that are handed over by nobody."""

    async def hand_over(self, parts: RebuildParts, replay: ChartReplay, second: int) -> None:
        return


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
    for passes in ([until_s], [first_s, until_s]):
        stored: Stored = {}
        rebuild = ChartsOfPasses(V1, StoredDocuments(stored, "chart", None))

        async def run(rebuild: ChartsOfPasses = rebuild, passes: list[int] = passes) -> None:
            for end_s in passes:
                await rebuild.rebuild(parts_of(history, end_s))

        asyncio.run(run())
        found.append({place: one for place, one in stored.items() if place[1] not in ("current", "@progress")})
    assert found[1] == found[0]
