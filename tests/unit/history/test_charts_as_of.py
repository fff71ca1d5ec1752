"""The charts as of a moment are the fold of what the hub had taken by then, though only a week of it is read."""

import asyncio
from collections.abc import AsyncGenerator
from random import Random

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from msgspec import structs

from localcloud_tests.support.fuzzing import effort
from songline.audit.chart_reference import Rules
from songline.processors.history.archive.errors import ArchiveHoleError
from songline.processors.history.archive.spans import MomentError, NoHistoryError
from songline.processors.history.as_of.charts import HOURS_READ, charts_as_of
from songline.processors.history.charts.song_events import SongEventStore
from songline.schemas.events import SongUploaded
from songline.schemas.policy import V1
from tests.support.history import HistoryBatch, HistoryInFiles, random_history
from tests.support.trending import KEY
from tests.unit.history.test_chart_replay import (
    BEGIN_S,
    HOUR_S,
    act,
    expected,
    random_policy,
    replayed,
    seeds,
)
from tests.unit.trending.test_pipeline import PARTITIONS, lines


@effort(15)
@given(seeds)
def test_as_of_equals_the_fold_of_the_prefix(seed: int) -> None:
    random = Random(seed)
    policy, rules = random_policy(random)
    history = random_history(random, BEGIN_S, random.choice([1, 40, 80]), act)
    if not history:
        return
    second = random.choice(history).second + random.choice([0, 0, 1, 3_600, 86_400, 700_000])
    files = HistoryInFiles(random, history, PARTITIONS, late=random.choice([0, 0, 3, 30]))
    found = asyncio.run(charts_as_of(files, SongEventStore(None), second, policy, KEY))
    assert lines(found.charts) == expected(history, second, second, rules)
    _, whole = asyncio.run(replayed(random, history, second, policy))
    assert found.charts == whole, "previous ranks, freshness and policy are those of a rebuild until then"


def test_of_what_is_older_than_a_week_only_uploads_and_removals_are_applied() -> None:
    random = Random(3)
    old = random_history(random, BEGIN_S, 60, act)
    now_s = old[-1].second + (HOURS_READ + 2) * HOUR_S
    history = old + [structs.replace(one, second=now_s, position=1_000 + one.position) for one in old[:1]]
    files = HistoryInFiles(random, history, PARTITIONS)
    found = asyncio.run(charts_as_of(files, SongEventStore(None), now_s, V1, KEY))
    uploads = sum(isinstance(one.event.data, SongUploaded) for one in old)
    assert uploads < found.events < 60


def test_what_only_the_hub_has_before_the_archive_is_read_from_it() -> None:
    old = random_history(Random(3), BEGIN_S, 60, act)
    now_s = old[-1].second + (HOURS_READ + 2) * HOUR_S
    history = old + [structs.replace(one, second=now_s, position=1_000 + one.position) for one in old]
    files = HistoryInFiles(Random(3), history, PARTITIONS, late=12)
    for second in (old[2].second, old[-1].second, now_s):
        found = asyncio.run(charts_as_of(files, SongEventStore(None), second, V1, KEY))
        assert lines(found.charts) == expected(history, second, second, Rules())
    # Also the songs' titles, of uploads before the archive.
    fresh = [one for one in history[60:] if not isinstance(one.event.data, SongUploaded)]
    files = HistoryInFiles(Random(3), [*old, *fresh], PARTITIONS, late=12)
    found = asyncio.run(charts_as_of(files, SongEventStore(None), now_s, V1, KEY))
    assert lines(found.charts) == expected([*old, *fresh], now_s, now_s, Rules())


def test_what_is_missing_before_the_hours_that_are_read_is_of_no_matter() -> None:
    old = random_history(Random(3), BEGIN_S, 60, act)
    now_s = old[-1].second + (HOURS_READ + 2) * HOUR_S
    recent = [structs.replace(one, second=now_s, position=1_000 + one.position) for one in old[:30]]
    files = HistoryInFiles(Random(3), [*old, *recent], PARTITIONS, gone=4)
    found = asyncio.run(charts_as_of(files, SongEventStore(None), now_s, V1, KEY))
    assert found.events >= len(recent)
    for second in (old[-1].second, old[40].second):
        with pytest.raises(ArchiveHoleError):
            asyncio.run(charts_as_of(files, SongEventStore(None), second, V1, KEY))


class FailingHistory(HistoryInFiles):
    """A history of which no two partitions can be read at a time; `under_way` counts readings that have not ended."""

    under_way = 0

    async def read(
        self, partition: str, after: int = -1, until_s: int | None = None
    ) -> AsyncGenerator[HistoryBatch, None]:
        self.under_way += 1
        try:
            if self.under_way > 1:
                raise ServiceRequestError("away")
            async for batch in super().read(partition, after, until_s):
                yield batch
        finally:
            self.under_way -= 1


async def test_when_one_partition_fails_no_other_is_left_half_read() -> None:
    """The caller closes the connections that it is read by."""
    history = random_history(Random(3), BEGIN_S, 60, act)
    files = FailingHistory(Random(3), history, PARTITIONS)
    with pytest.raises(ServiceRequestError):
        await charts_as_of(files, SongEventStore(None), history[-1].second, V1, KEY)
    assert files.under_way == 0


def test_a_moment_before_the_history_and_no_history_are_said_so() -> None:
    history = random_history(Random(1), BEGIN_S, 5, act)
    files = HistoryInFiles(Random(1), history, PARTITIONS)
    with pytest.raises(MomentError, match="the history begins at 2026-"):
        asyncio.run(charts_as_of(files, SongEventStore(None), history[0].second - 1, V1, KEY))
    asyncio.run(charts_as_of(files, SongEventStore(None), history[0].second, V1, KEY))
    with pytest.raises(NoHistoryError, match="turn Capture on"):
        asyncio.run(charts_as_of(HistoryInFiles(Random(1), [], 2), SongEventStore(None), BEGIN_S, V1, KEY))
