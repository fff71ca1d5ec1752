"""A rebuild of charts or songs' days that is killed at any write, and begun again, ends as one that is not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given

from localcloud_tests.support.fuzzing import effort
from songline.audit import chart_reference as reference
from songline.processors.history.charts import checkpoints as module
from songline.processors.history.charts.chart_documents import ChartDocuments
from songline.processors.history.charts.charts_rebuild import ChartsWriter
from songline.processors.history.charts.checkpoints import ReplayCheckpoints
from songline.processors.history.charts.plays_rebuild import DaysWriter
from songline.processors.history.charts.rebuilding import SAVE_S, ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.saved_replay import (
    ReplayPlace,
    ReplayState,
    SavedReplay,
)
from songline.processors.history.rebuild import passes
from songline.processors.history.rebuild.passes import is_near
from songline.processors.history.rebuild.progress import RebuildCount
from songline.processors.history.rebuild.projection import RebuildParts
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked
from songline.schemas.plays import SongDay
from songline.schemas.policy import V1, ChartPolicy
from songline.schemas.progress import Watermark
from tests.support.history import HOUR_S, HistoryEvent, HistoryInFiles, in_time, random_history
from tests.support.trending import KEY, hours
from tests.unit.history.test_chart_replay import BEGIN_S, act, random_policy, seeds
from tests.unit.trending.test_pipeline import PARTITIONS

Stored = dict[tuple[str, str], Mapping[str, Any]]
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class KilledError(Exception):
    """The process ends here."""


class Life:
    """The life of a process that ends instead of the write `dies_at`, None for never."""

    def __init__(self, dies_at: int | None = None) -> None:
        self._left = dies_at

    def write(self) -> None:
        if self._left == 0:
            raise KilledError
        if self._left is not None:
            self._left -= 1


class BlobsInMemory:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.blobs: dict[int, bytes] = {}
        self.life = Life()
        self.is_closed = False

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["BlobsInMemory"]:
        """The same, for one call of a rebuild."""
        found = BlobsInMemory()
        found.blobs, found.life = self.blobs, self.life
        yield found
        found.is_closed = True

    async def numbers(self) -> list[int]:
        return list(self.blobs)

    async def read(self, number: int) -> bytes:
        return self.blobs[number]

    async def write(self, number: int, data: bytes) -> None:
        assert not self.is_closed
        self.life.write()
        self.blobs[number] = data

    async def remove(self, number: int) -> None:
        self.life.write()
        del self.blobs[number]


class StoredDocuments(ChartDocuments):
    """Documents in memory, by partition key and id, and the checkpoints beside them."""

    def __init__(self, stored: Stored, key: str, dies_at: int | None, blobs: BlobsInMemory | None = None) -> None:
        self.stored = stored
        self.blobs = blobs or BlobsInMemory()
        self._asked = 0
        self._key = key
        self._life = self.blobs.life = Life(dies_at)
        self._container = cast(Any, self)
        self.retries = PersistentRetry("a test")
        self.open()

    def open(self) -> None:
        """Begin a call of a rebuild: what still waited in the one before was only in its memory."""
        self._waiting = {}
        self._waiting_count = 0

    def steady(self) -> float:
        """A clock by which a checkpoint is due with every fourth question."""
        self._asked += 1
        return self._asked * SAVE_S / 4

    async def query_items(self, query: str, **options: object) -> AsyncIterator[str]:
        """The keys of the current charts."""
        for key, name in list(self.stored):
            if name == "current":
                yield key

    async def _put_all(self, documents: Sequence[Mapping[str, Any]]) -> None:
        for document in documents:
            await self._put(document)

    async def _put(self, document: Mapping[str, Any]) -> None:
        self._life.write()
        self.stored[str(document[self._key]), str(document["id"])] = document


async def hand_over(replay: ChartReplay, sources: Mapping[int, Watermark]) -> None:
    """What would be handed over, which nobody takes over."""
    values, _ = replay.take_handed_over()
    assert values


async def remove() -> None:
    """Nothing was handed over."""


def charts(policy: ChartPolicy, documents: StoredDocuments) -> ReplayRebuild:
    """Charts into memory."""

    @asynccontextmanager
    async def open_writer(parts: RebuildParts) -> AsyncIterator[ChartsWriter]:
        documents.open()
        async with documents.blobs.opened() as blobs:
            yield ChartsWriter(documents, KEY, blobs, hand_over, remove)

    return ReplayRebuild(policy, open_writer, steady=documents.steady)


def days(policy: ChartPolicy, documents: StoredDocuments) -> ReplayRebuild:
    """Songs' days into memory."""

    @asynccontextmanager
    async def open_writer(parts: RebuildParts) -> AsyncIterator[DaysWriter]:
        documents.open()
        async with documents.blobs.opened() as blobs:
            yield DaysWriter(documents, KEY, blobs)

    return ReplayRebuild(policy, open_writer, steady=documents.steady)


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
        return SimpleNamespace(partitions=frozenset(), created_at=CREATED_AT)

    async def hub_generation(partition: str, created_at: datetime, after: int) -> int:
        return 0

    async def is_at(partition: str, position: int, second: int | None) -> bool:
        return True

    read = SimpleNamespace(
        read=history.read,
        is_at=is_at,
        partitions=history.partitions,
        placed=placed,
        passing_over=lambda: history,
        hub_generation=hub_generation,
    )
    hub = SimpleNamespace(describe=describe)
    version, nothing = cast(Any, SimpleNamespace(version=2, positions={"0": 1})), cast(Any, None)
    return RebuildParts(version, nothing, nothing, cast(Any, read), cast(Any, hub), RebuildCount(), until_s)


@effort(5)
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
    blobs = BlobsInMemory()
    for _ in range(5):
        dies_at = random.randrange(len(whole) + 1)
        try:
            rebuild = kind(policy, StoredDocuments(stored, key, dies_at, blobs))
            asyncio.run(rebuild.rebuild(parts_of(history, until_s)))
        except KilledError:
            pass
    asyncio.run(kind(policy, StoredDocuments(stored, key, None, blobs)).rebuild(parts_of(history, until_s)))
    assert stored == whole
    if kind is days:
        found = [msgspec.convert(dict(document), SongDay) for document in stored.values() if "total" in document]
        assert hours(found) == reference.plays(in_time(events, until_s - 1), rules)


@effort(5)
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
        rebuild = charts(V1, StoredDocuments(stored, "chart", None))

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


def test_days_are_whole_where_something_comes_in_every_hour() -> None:
    """A day counts until its last hour leaves the window of a week. It is written before its hours are dropped."""
    begin_s = BEGIN_S // 86_400 * 86_400
    events: list[HistoryEvent] = []
    for hour in range(12 * 24):
        second = begin_s + hour * HOUR_S + 600
        # What just happened, and what happened a week and a day before, or an hour or two less.
        for age_s in (0, 8 * 86_400 - 2 * HOUR_S, 8 * 86_400 - HOUR_S, 8 * 86_400):
            data = SongLiked(user_id=f"user-{hour}", song_id="song-1", region="DE")
            time = datetime.fromtimestamp(second - age_s, UTC)
            event = Event(id=f"like-{hour}-{age_s}", source="/tests", time=time, data=data)
            events.append(HistoryEvent(0, len(events), second, event))
    stored: Stored = {}
    rebuild = days(V1, StoredDocuments(stored, "songId", None))
    history = HistoryInFiles(Random(1), events, PARTITIONS)
    asyncio.run(rebuild.rebuild(parts_of(history, events[-1].second + 1)))
    found = [msgspec.convert(dict(document), SongDay) for document in stored.values() if "total" in document]
    assert hours(found) == reference.plays(in_time(events, events[-1].second))
    assert len(found) > 12, "days before the first event's own, too"


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
    documents = StoredDocuments(stored, "chart", None)

    @asynccontextmanager
    async def open_writer(parts: RebuildParts) -> AsyncIterator[ChartsWriter]:
        yield ChartsWriter(documents, KEY, documents.blobs, hand_over, remove)

    parts = parts_of(HistoryInFiles(random, events, PARTITIONS), None)
    rebuild = ReplayRebuild(V1, open_writer, now_s=lambda: until_s)
    asyncio.run(asyncio.wait_for(rebuild.rebuild(parts), 120))
    assert stored


def test_a_rebuild_that_is_killed_reads_no_event_again_that_a_checkpoint_has() -> None:
    """Nor any at its end, with a history of two days of which eight would be read again."""
    random = Random(3)
    events = random_history(random, BEGIN_S, 40, act)
    until_s = events[-1].second + 3
    for kind, key in ((charts, "chart"), (days, "songId")):
        history = HistoryInFiles(random, events, PARTITIONS)
        stored: Stored = {}
        blobs = BlobsInMemory()
        asyncio.run(kind(V1, StoredDocuments(stored, key, None, blobs)).rebuild(parts_of(history, until_s)))
        read = history.reads
        assert read >= len(events)
        parts = parts_of(history, until_s)
        asyncio.run(kind(V1, StoredDocuments(stored, key, None, blobs)).rebuild(parts))
        assert history.reads == read
        assert parts.count.before is not None
        assert parts.count.before[0] + parts.count.events == len(events)


@effort(10)
@given(seeds)
def test_a_checkpoint_is_what_was_saved_last_wherever_the_process_was_killed(seed: int) -> None:
    random = Random(seed)
    blobs = BlobsInMemory()
    held: dict[str, bytes] = {}
    number = 0
    checkpoints = ReplayCheckpoints(blobs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART_BYTES", random.choice([1, 300, 5_000]))
        patch.setattr(module, "SLACK_BYTES", random.choice([0, 500, 10_000]))
        for _ in range(12):
            changes: dict[str, bytes | None] = {
                f"key-{random.randrange(6)}": random.choice([None, bytes(random.randrange(400))])
                for _ in range(random.randrange(5))
            }
            after = {key: one for key, one in {**held, **changes}.items() if one is not None}
            place = ReplayPlace(number + 1, True, CREATED_AT)
            state = ReplayState(place, b"key", 0, {0: number + 1}, 0, 0, None, {})
            size_bytes = sum(map(len, after.values()))
            blobs.life = Life(random.choice([None, None, 0, 1, 2, 3]))
            try:
                asyncio.run(
                    checkpoints.save(
                        SavedReplay(state, changes, {}), partial(SavedReplay, state, dict(after), {}), size_bytes
                    )
                )
                number, held = number + 1, after
            except KilledError:
                blobs.life = Life()
                checkpoints = ReplayCheckpoints(blobs)
                found = asyncio.run(checkpoints.read())
                # Killed after the last part was written, and before what it replaces was removed, it is saved.
                if found is not None and found.state.place.hour == number + 1:
                    number, held = number + 1, after
                assert (found is None) == (number == 0)
            blobs.life = Life()
            found = asyncio.run(ReplayCheckpoints(blobs).read())
            if number:
                assert found is not None
                assert (found.state.place.hour, found.values) == (number, held)
