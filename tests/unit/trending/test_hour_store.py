"""What waits while Blob Storage is away, and what the worker says of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import AzureError

from songline.cloud.settings import BLOB_CONNECTION
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import hour_store, loaded_actions, sealed_hours
from songline.processors.trending.cells.chunks import encode_mark
from songline.processors.trending.cells.hour_marks import mark_key
from songline.processors.trending.cells.hour_store import HourStore
from songline.processors.trending.cells.late_hours import LATE_IDLE_MS
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.state import Cell
from songline.processors.trending.cells.validation import broken_cells
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.process import _hours
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.moments import milliseconds
from tests.support.trending import KEY
from tests.support.waiting import wait_for_async

NOW = datetime(2026, 11, 22, 14, 3, 30, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
HOUR = NOW_MS // 3_600_000
AWAY_PORT = 1
AWAY = "DefaultEndpointsProtocol=http;AccountName=one;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:{port}/one"


@asynccontextmanager
async def away(saved: dict[bytes, bytes], port: int = AWAY_PORT) -> AsyncIterator[HourStore]:
    """The hours of a worker whose Blob Storage takes no connection, or is at `port`; the changelog holds `saved`."""
    nowhere: Any = None
    changelog = Changelog("cells", SimpleNamespace(data=saved), nowhere, broken_cells)
    async with asyncio.timeout(60), _hours({BLOB_CONNECTION: AWAY.format(port=port)}) as container:
        assert container is not None
        yield HourStore(changelog, SealedHours(container), KEY, nowhere)


def listened(*moments: datetime, number: int = 0, user: str = "user-1") -> SourcePartition:
    """A partition in which a listener has played a song at these moments, and which was not flushed."""
    source = SourcePartition(number, "me", 1, SongIndex(1), RegionIndex(), UserHashes(), KEY, -1)
    source.apply(plays(0, *moments or (NOW,), user=user))
    return source


def plays(begin: int, *moments: datetime, user: str = "user-1") -> Batch:
    """A batch in which a listener has played a song at these moments."""
    data = SongPlayed(user_id=user, song_id="song-1", played_ms=60_000, duration_ms=90_000, region="DE")
    bodies = [encode(Event(id="e", source="/tests", time=at, data=data)) for at in moments]
    offsets = range(begin, begin + len(bodies))
    return Batch(offsets.start, offsets.stop, offsets, [NOW_MS] * len(bodies), bodies)


async def restarted(hours: HourStore, saved: dict[bytes, bytes]) -> SourcePartition:
    """A source that has the event again which one before has saved, and whose open hour is being loaded."""
    source = listened()
    await hours.load_missing({0: source.cells}, NOW_MS)
    saved |= {key.encode(): value for key, value in source.flush(NOW_MS).chunks.items() if value is not None}
    after = listened()
    hours.preload(0, after.cells, NOW_MS)
    return after


async def test_an_hour_that_was_never_sealed_needs_no_blob() -> None:
    source = listened()
    async with away({}) as hours:
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert not source.cells.missing()
        assert hours.last_error({0}) is None
    assert source.flush(NOW_MS).chunks


async def test_an_open_hour_is_loaded_before_its_first_event() -> None:
    saved = dict[bytes, bytes]()
    async with away(saved) as hours:
        after = await restarted(hours, saved)
        await hours._loads[0].task
        assert not after.cells.missing()
        flush = after.flush(NOW_MS)
    assert not flush.chunks, "it was played before"


async def test_a_broken_chunk_costs_an_hour_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_actions, "LOAD_CHUNKS", 2)
    monkeypatch.setattr(loaded_actions, "LOAD_ROWS", 2)
    saved = dict[bytes, bytes]()
    users = [f"user-{number}" for number in range(7)]
    async with away(saved) as hours:
        for user in users:
            source = listened(user=user)
            await hours.load_missing({0: source.cells}, NOW_MS)
            [value] = [value for value in source.flush(NOW_MS).chunks.values() if value is not None]
            saved[f"0/{HOUR}/{user}/0".encode()] = value
        saved[f"0/{HOUR}/user-3/0".encode()] = b"no chunk"
        for user in users:
            source = listened(user=user)
            await hours.load_missing({0: source.cells}, NOW_MS)
            assert bool(source.flush(NOW_MS).chunks) == (user == "user-3")
    assert len(saved) == len(users) - 1, "the broken one is removed"


async def test_what_can_not_be_loaded_early_is_told_once_it_is_missed() -> None:
    source, saved = listened(), {mark_key(0, HOUR).encode(): encode_mark(5)}
    async with away(saved) as hours:
        hours.preload(0, source.cells, NOW_MS)
        await hours._loads[0].task
        assert hours.last_error({0}) is None
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert isinstance(hours.last_error({0}), AzureError)


async def test_what_can_not_be_loaded_before_its_partition_is_assigned_is_missed_later() -> None:
    source, saved = listened(), {mark_key(0, HOUR).encode(): encode_mark(5)}
    async with away(saved) as hours:
        hours.load_early(0, source.cells, NOW_MS)
        early = hours.take_early(0)
        assert early is not None
        assert hours.take_early(0) is None
        assert await asyncio.gather(*early.loads.values()) == [None, None], "this hour, and the one before"
        hours.preload(0, early.cells, NOW_MS, early.loads)
        await hours._loads[0].task
        assert hours.last_error({0}) is None
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert isinstance(hours.last_error({0}), AzureError)


async def test_what_was_never_saved_of_a_partition_is_loaded_no_longer() -> None:
    source = listened()
    async with away({}) as hours:
        hours.load_early(0, source.cells, NOW_MS)
        early = hours.take_early(0)
        assert early is not None
        hours.preload(0, early.cells, NOW_MS, early.loads)
        await asyncio.wait(early.loads.values())
        assert all(load.cancelled() for load in early.loads.values())


class AskedValues(dict[bytes, bytes]):
    """Values that count how often one is asked for."""

    asked = 0

    def get(self, key: bytes, default: Any = None) -> Any:
        self.asked += 1
        return super().get(key, default)


async def test_what_is_due_looks_at_each_chunk_a_few_times() -> None:
    saved = AskedValues({f"0/{HOUR}/owner-{number}/0".encode(): b"chunk" for number in range(500)})
    async with away(saved) as hours:
        assert not hours.due(listened(), NOW_MS)
        assert 500 <= saved.asked <= 2_000


async def test_a_sealed_hour_waits_for_its_blob_and_says_so_no_longer_than_that() -> None:
    source, saved = listened(), {mark_key(0, HOUR).encode(): encode_mark(5)}
    async with away(saved) as hours:
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert source.cells.missing()
        assert isinstance(hours.last_error({0}), AzureError)
        assert hours.last_error({1}) is None, "another worker has the partition by now"
        saved.clear()
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert not source.cells.missing()
        assert hours.last_error({0}) is None


async def test_an_hour_that_can_not_be_sealed_is_told_while_it_is_due() -> None:
    source, saved = listened(), dict[bytes, bytes]()
    over_ms = NOW_MS + 2 * 3_600_000
    async with away(saved) as hours:
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert not source.cells.missing()
        saved |= {key.encode(): value for key, value in source.flush(NOW_MS).chunks.items() if value is not None}
        due = hours.due(source, over_ms)
        await hours.seal(source, HOUR, due[HOUR], lambda: True)
        assert isinstance(hours.last_error({0}), AzureError)
        await hours.seal(source, HOUR + 1, [], lambda: True)
        assert isinstance(hours.last_error({0}), AzureError), "another hour goes well"
        saved.clear()
        assert not hours.due(source, over_ms)
        assert hours.last_error({0}) is None


async def test_a_late_hour_is_sealed_though_events_go_on_coming_for_it() -> None:
    at, saved = NOW - timedelta(hours=20), dict[bytes, bytes]()
    source, hour = listened(at), milliseconds(at) // 3_600_000
    async with away(saved) as hours:
        for minute, user in enumerate(["user-1", "user-2", "user-3"]):
            now_ms = NOW_MS + minute * 300_000
            source.apply(plays(minute + 1, at, user=user))
            await hours.load_missing({0: source.cells}, now_ms)
            saved |= {key.encode(): value for key, value in source.flush(now_ms).chunks.items() if value is not None}
            hours.unload(source, now_ms)
            assert list(hours.due(source, now_ms)) == ([hour] if minute == 2 else [])


async def test_late_hours_are_not_sealed_as_soon_as_a_partition_is_held() -> None:
    at, saved = NOW - timedelta(hours=20), dict[bytes, bytes]()
    before, hour = listened(at), milliseconds(at) // 3_600_000
    async with away(saved) as hours:
        await hours.load_missing({0: before.cells}, NOW_MS)
        saved |= {key.encode(): value for key, value in before.flush(NOW_MS).chunks.items() if value is not None}
        after = listened(NOW)
        hours.preload(0, after.cells, NOW_MS)
        # The owner before had the hour in memory, and late events for it will come.
        assert not hours.due(after, NOW_MS + LATE_IDLE_MS - 1)
        assert list(hours.due(after, NOW_MS + LATE_IDLE_MS)) == [hour]


@pytest.mark.parametrize(
    ("hours_ago", "is_dropped"), [(0, False), (7 * 24, False), (8 * 24, True), (20 * 365 * 24, True)]
)
async def test_years_of_old_events_load_no_hours(hours_ago: int, is_dropped: bool) -> None:
    at = NOW - timedelta(hours=hours_ago)
    source, saved = listened(at), {mark_key(0, milliseconds(at) // 3_600_000).encode(): encode_mark(5)}
    async with away(saved) as hours:
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert (not source.cells.missing()) == is_dropped
    if is_dropped:
        assert (source.flush(NOW_MS).position, source.flush(NOW_MS).chunks) == (0, {})


class SilentStorage:
    """A Blob Storage that has no index of an hour, and does not answer else; `requests` are the first lines that came
    then."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []

    async def swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if b".index" in line:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 No\r\nx-ms-error-code: BlobNotFound\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        else:
            self.requests.append(line)
            await reader.read()
        writer.close()

    async def has_been_asked(self, times: int) -> bool:
        return len(self.requests) >= times


@asynccontextmanager
async def silent() -> AsyncIterator[SilentStorage]:
    storage = SilentStorage()
    async with await asyncio.start_server(storage.swallow, "127.0.0.1", 0) as server:
        storage.port = server.sockets[0].getsockname()[1]
        yield storage


async def test_a_blob_storage_that_does_not_answer_holds_up_no_other_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_hours, "ANSWER_S", 600.0)
    sealed, unsealed, saved = listened(), listened(number=1), {mark_key(0, HOUR).encode(): encode_mark(5)}
    async with silent() as storage, away(saved, storage.port) as hours:
        await hours.load_missing({0: sealed.cells, 1: unsealed.cells}, NOW_MS)
        assert not unsealed.cells.missing(), "nothing of it is in Blob Storage"
        assert sealed.cells.missing()
        assert hours.last_error({0}) is None, "it is still waited for"
        await hours.load_missing({}, NOW_MS)


async def test_a_sealed_hour_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_hours, "ANSWER_S", 0.2)
    sealed, saved = listened(), {mark_key(0, HOUR).encode(): encode_mark(5)}
    async with silent() as storage, away(saved, storage.port) as hours:
        while hours.last_error({0}) is None:
            await hours.load_missing({0: sealed.cells}, NOW_MS)
            await asyncio.sleep(0.05)
        assert sealed.cells.missing()
        assert "did not answer" in str(hours.last_error({0}))
        # A partition that is given up is loaded no more.
        await hours.load_missing({}, NOW_MS)
        assert not hours._loads


@pytest.mark.parametrize(("size_bytes", "at_once"), [(5, hour_store.LOADS), (hour_store.LARGE_BYTES, 1)])
async def test_small_sealed_hours_are_asked_for_beside_one_another(size_bytes: int, at_once: int) -> None:
    source = listened(*[NOW - timedelta(hours=one) for one in range(hour_store.LOADS + 2)])
    saved = {mark_key(0, hour).encode(): encode_mark(size_bytes) for hour in source.cells.missing()}
    async with silent() as storage, away(saved, storage.port) as hours:
        # For as long as a flush waits for hours.
        await hours.load_missing({0: source.cells}, NOW_MS)
        await wait_for_async(lambda: storage.has_been_asked(at_once), "as many requests as may be", 60)
        await hours.load_missing({}, NOW_MS)
        assert len(set(storage.requests)) == at_once


async def test_an_event_that_comes_while_hours_are_loaded_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    source = listened()
    add, later = source.cells.add, [plays(1, NOW - timedelta(hours=1))]

    def add_and_apply(cell: Cell) -> None:
        add(cell)
        if later:
            source.apply(later.pop())

    monkeypatch.setattr(source.cells, "add", add_and_apply)
    async with away({}) as hours:
        await hours.load_missing({0: source.cells}, NOW_MS)
    assert not source.cells.missing()
    assert sorted(source.cells.loaded()) == [HOUR - 1, HOUR]


async def test_a_flush_waits_for_the_open_hours_that_are_loaded_after_a_start() -> None:
    saved = dict[bytes, bytes]()
    async with away(saved) as hours:
        after = await restarted(hours, saved)
        await hours.load_missing({0: after.cells}, NOW_MS)
        assert not after.cells.missing()
        assert not after.flush(NOW_MS).chunks, "it was played before"


async def test_an_hour_is_asked_for_when_its_event_is_folded_and_waited_for_by_the_flush() -> None:
    source = listened()
    async with away({}) as hours:
        hours.load_beside(0, source.cells, NOW_MS)
        load = hours._loads[0].task
        hours.load_beside(0, source.cells, NOW_MS)
        assert (hours._loads[0].task, load.done()) == (load, False), "it is asked for once"
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert not source.cells.missing()


async def test_hours_that_no_shard_counts_are_not_asked_for_when_their_events_are_folded() -> None:
    at = NOW - timedelta(days=8)
    source, saved = listened(at), {mark_key(0, milliseconds(at) // 3_600_000).encode(): encode_mark(5)}
    async with away(saved) as hours:
        hours.load_beside(0, source.cells, NOW_MS)
        assert not hours._loads
        assert not source.cells.missing()


async def test_an_hour_that_can_not_be_loaded_is_tried_again_by_flushes_alone() -> None:
    source, saved = listened(), {mark_key(0, HOUR).encode(): encode_mark(5)}
    async with away(saved) as hours:
        hours.load_beside(0, source.cells, NOW_MS)
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert isinstance(hours.last_error({0}), AzureError)
        hours.load_beside(0, source.cells, NOW_MS)
        assert not hours._loads
        saved.clear()
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert not source.cells.missing()
        assert hours.last_error({0}) is None


MARK = mark_key(0, HOUR).encode()


@pytest.mark.parametrize("key", [MARK, b"0/no/key/0", b"0/x/sealed/0", b"0/sealed", b"0/\xff/sealed/0", b"0/\xff"])
async def test_an_hour_whose_mark_is_broken_counts_as_sealed(key: bytes) -> None:
    source, saved = listened(), {key: b"no mark"}
    async with away(saved) as hours:
        hours.restore_marks(await hours._saved.prune({0}))
        await hours.load_missing({0: source.cells}, NOW_MS)
        assert bool(source.cells.missing()) == (key == MARK), "its blob is asked for"
