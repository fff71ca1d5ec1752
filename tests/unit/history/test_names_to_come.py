"""While a listener is being forgotten, the charts of a moment are what they were and will be, whichever files of the
archive have the listener's names already."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from msgspec import structs

from localcloud_tests.support.fuzzing import effort
from songline.audit.chart_reference import Rules
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.as_of.charts import charts_as_of
from songline.processors.history.charts.song_events import SongEventStore
from songline.processors.history.erasure.names_to_come import NOBODY_LEAVES, NamesToCome
from songline.processors.history.erasure.rename import renamed_body
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.erasures import Erasure, finished, listener_hash
from songline.schemas.events import SongPlayed
from songline.schemas.forgotten import ForgottenNames
from songline.schemas.moments import moment_at
from songline.schemas.name_matches import NO_MATCHES
from songline.schemas.policy import V1
from tests.support.archive_files import MemoryFiles
from tests.support.capture_files import NOON, capture_file, record
from tests.support.history import HistoryBatch, HistoryEvent, HistoryInFiles, random_history
from tests.support.trending import KEY
from tests.unit.history.test_chart_replay import BEGIN_S, act, expected, seeds
from tests.unit.trending.test_pipeline import PARTITIONS, USERS, lines

NAMES_KEY = bytes(range(32))
NAMES = ForgottenNames(NAMES_KEY)
CREATED = datetime(2020, 1, 1, tzinfo=UTC)


def erasure(user_id: str, bounds: dict[str, int], created_at: datetime = CREATED) -> Erasure:
    """One that has fixed up to where a listener is forgotten, and whose step `archive` is not done."""
    return Erasure(
        id="erasure", state="running", songs="keep", requested_at=CREATED, due_at=CREATED, by="tests",
        user_id=user_id, key=NAMES_KEY.hex(), listener=listener_hash(user_id, NAMES_KEY),
        bounds=bounds, hub_created_at=created_at,
    )  # fmt: skip


def event(number: int, second: int, data: SongPlayed) -> Event:
    return Event(id=f"e{number}", source="/t", time=moment_at(second * 1_000), data=data)


class PartlyRenamed(HistoryInFiles):
    """A history in which `user_id` has their names at some positions, read under `names`."""

    def __init__(
        self, random: Random, events: Sequence[HistoryEvent], user_id: str, renamed: set[int], names: NamesToCome
    ) -> None:
        super().__init__(random, events, PARTITIONS)
        self._user_id = user_id
        self._renamed = renamed
        self._names = names

    async def read(
        self, partition: str, after: int = -1, until_s: int | None = None
    ) -> AsyncGenerator[HistoryBatch, None]:
        async for batch in super().read(partition, after, until_s):
            bodies = [
                renamed_body(body, self._user_id, NAMES, second)[0] if position in self._renamed else body
                for position, second, body in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True)
            ]
            bodies = self._names.renamed(partition, batch.positions, batch.enqueued_s, bodies)
            yield HistoryBatch(batch.positions, batch.enqueued_s, bodies)


@effort(15)
@given(seeds)
def test_charts_do_not_change_while_files_are_rewritten(seed: int) -> None:
    random = Random(seed)
    history = random_history(random, BEGIN_S, random.choice([40, 80]), act)
    user_id = random.choice(USERS)
    second = random.choice(history).second + random.choice([0, 3_600])
    renamed = {one.position for one in history if random.random() < 0.5}
    bounds = {str(number): len(history) for number in range(PARTITIONS)}
    read = PartlyRenamed(random, history, user_id, renamed, NamesToCome([erasure(user_id, bounds)]))
    found = asyncio.run(charts_as_of(read, SongEventStore(None), second, V1, KEY))
    assert lines(found.charts) == expected(history, second, second, Rules())


def test_without_the_names_an_hours_action_would_count_twice() -> None:
    played = SongPlayed(user_id=USERS[0], song_id="song-1", played_ms=40_000, duration_ms=50_000)
    history = [HistoryEvent(0, at, BEGIN_S + at, event(at, BEGIN_S, played)) for at in (0, 1)]
    counts = []
    for names in (NOBODY_LEAVES, NamesToCome([erasure(USERS[0], {"0": 1})])):
        read = PartlyRenamed(Random(1), history, USERS[0], {0}, names)
        found = asyncio.run(charts_as_of(read, SongEventStore(None), BEGIN_S + 1, V1, KEY))
        counts.append(found.charts["top:1h:global"].entries[0].listens)
    assert counts == [2, 1]


async def test_files_are_read_as_they_will_be_rewritten() -> None:
    """Up to the bound of the hub as it is; all of a hub that was there before; and nothing of an erasure that is
    done, whose files are."""
    played = SongPlayed(user_id="anna", song_id="song-1", played_ms=40_000, duration_ms=50_000)
    bodies = [encode(event(at, NOON + at, played)) for at in range(6)]
    files = MemoryFiles()
    files.add(capture_file([record(at, NOON + at, body) for at, body in enumerate(bodies)]), 0)

    async def listeners(known: Sequence[Erasure]) -> list[bool]:
        history = HubHistory(files).with_names(NO_MATCHES, NamesToCome(known))
        read = [body async for batch in history.read("0") for body in batch.bodies]
        return [decode(body).data.user_id == "anna" for body in read]

    running = erasure("anna", {"0": 3})
    assert await listeners([running]) == [False] * 4 + [True] * 2
    assert await listeners([structs.replace(running, hub_created_at=datetime.fromtimestamp(NOON + 4, UTC))]) == [
        *([False] * 5),
        True,
    ]
    assert await listeners([structs.replace(running, hub_created_at=None, bounds={})]) == [True] * 6
    assert await listeners([erasure("anna", {"1": 3})]) == [True] * 6, "the hub got the partition since"
    assert await listeners([finished(running, CREATED + timedelta(days=1))]) == [True] * 6
    assert await listeners([erasure("ann", {"0": 9})]) == [True] * 6
