"""A rebuild of charts or songs' days in which a listener is forgotten ends as one that is begun after that, also where
it is killed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from msgspec import structs

from localcloud_tests.support.fuzzing import effort
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.erasure.names_to_come import NOBODY_LEAVES, ForgottenMeanwhileError, NamesToCome
from songline.processors.history.erasure.rename import renamed_body
from songline.processors.history.rebuild.projection import RebuildParts
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked
from songline.schemas.moments import moment_at
from songline.schemas.policy import V1, ChartPolicy
from tests.support.history import HistoryBatch, HistoryEvent, HistoryInFiles
from tests.unit.history.test_chart_replay import BEGIN_S, seeds
from tests.unit.history.test_names_to_come import NAMES, erasure
from tests.unit.history.test_replay_rebuild import (
    BlobsInMemory,
    KilledError,
    Stored,
    StoredDocuments,
    charts,
    days,
    parts_of,
)
from tests.unit.trending.test_pipeline import PARTITIONS, USERS, payload


def busy_hours(random: Random) -> list[HistoryEvent]:
    """What two listeners do again and again, hour after hour; one of them uploads and removes songs, too."""
    second, found = BEGIN_S, list[HistoryEvent]()
    liked, anything = partial(SongLiked, song_id="song-1", region="DE"), partial(payload, random)
    for position in range(40):
        second += random.choice([1, 300, 900])
        number = random.randrange(2)
        user_id = USERS[number]
        data = anything(user_id) if number and random.random() < 0.5 else liked(user_id=user_id)
        time = moment_at((second - random.choice([0, 0, 1_800])) * 1_000)
        event = Event(id=f"e{position}", source="/tests", time=time, data=data)
        found.append(HistoryEvent(number, position, second, event))
    return found


class ForgettingHistory(HistoryInFiles):
    """A history in which it is fixed up to where `user_id` is forgotten, all of it, once `left` batches are read. From
    then on an event of theirs has its name where its file is rewritten, or where it comes from the hub's tail."""

    def __init__(self, random: Random, events: Sequence[HistoryEvent], user_id: str, left: int) -> None:
        super().__init__(random, events, PARTITIONS)
        self._user_id = user_id
        self._left = left
        self._erasure = erasure(user_id, {str(number): len(events) for number in range(PARTITIONS)})

    async def names(self) -> NamesToCome:
        """The names of who is being forgotten by now."""
        return NOBODY_LEAVES if self._left > 0 else NamesToCome([self._erasure])

    async def read(
        self, partition: str, after: int = -1, until_s: int | None = None
    ) -> AsyncGenerator[HistoryBatch, None]:
        async for batch in super().read(partition, after, until_s):
            bodies = [
                renamed_body(body, self._user_id, NAMES, second)[0]
                if self._left <= 0 and self._random.random() < 0.5
                else body
                for second, body in zip(batch.enqueued_s, batch.bodies, strict=True)
            ]
            self._left -= 1
            yield HistoryBatch(batch.positions, batch.enqueued_s, bodies)


async def parts_under_names(history: ForgettingHistory, until_s: int) -> RebuildParts:
    """What a rebuild has that begins now."""
    names = await history.names()
    parts = parts_of(history, until_s)

    async def read(partition: str, after: int = -1, until_s: int | None = None) -> AsyncGenerator[HistoryBatch, None]:
        async for batch in history.read(partition, after, until_s):
            bodies = names.renamed(partition, batch.positions, batch.enqueued_s, batch.bodies)
            yield HistoryBatch(batch.positions, batch.enqueued_s, bodies)

    under_names = SimpleNamespace(**{**vars(parts.history), "read": read})
    return structs.replace(parts, history=cast(Any, under_names), names=names, read_names=history.names)


async def rebuild_to_the_end(rebuild: ReplayRebuild, history: ForgettingHistory, until_s: int) -> int:
    """Rebuild as a command does it; return how often it began anew."""
    anew = 0
    while True:
        try:
            await rebuild.rebuild(await parts_under_names(history, until_s))
        except ForgottenMeanwhileError:
            anew += 1
            continue
        return anew


@effort(15)
@given(seeds)
@example(54006).via("what waits to be written when it begins anew")
@pytest.mark.parametrize(("kind", "key"), [(charts, "chart"), (days, "songId")])
def test_a_listener_counts_under_one_name(
    kind: Callable[[ChartPolicy, StoredDocuments], ReplayRebuild], key: str, seed: int
) -> None:
    random = Random(seed)
    events = busy_hours(random)
    until_s = events[-1].second + random.choice([1, 3_601, 90_000])
    user_id = random.choice(USERS[:2])
    whole: Stored = {}
    after = ForgettingHistory(random, events, user_id, 0)
    assert asyncio.run(rebuild_to_the_end(kind(V1, StoredDocuments(whole, key, None)), after, until_s)) == 0
    stored: Stored = {}
    blobs = BlobsInMemory()
    history = ForgettingHistory(random, events, user_id, random.randrange(len(events)))
    for dies_at in (*(random.randrange(len(whole) + 3) for _ in range(random.choice([0, 2]))), None):
        rebuild = kind(V1, StoredDocuments(stored, key, dies_at, blobs))
        try:
            anew = asyncio.run(rebuild_to_the_end(rebuild, history, until_s))
        except KilledError:
            continue
        assert anew <= 1, "it begins anew once for each who is forgotten"
    assert stored == whole
