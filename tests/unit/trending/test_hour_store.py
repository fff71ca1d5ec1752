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
from songline.processors.trending.cells.chunks import encode_mark
from songline.processors.trending.cells.hour_store import HourStore, mark_key
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.validation import check_cell
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.process import _hours
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.moments import milliseconds
from tests.support.trending import KEY

NOW = datetime(2026, 11, 22, 14, 3, 30, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
HOUR = NOW_MS // 3_600_000
AWAY = "DefaultEndpointsProtocol=http;AccountName=one;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/one"


@asynccontextmanager
async def away(saved: dict[bytes, bytes]) -> AsyncIterator[HourStore]:
    """The hours of a worker whose Blob Storage takes no connection, and whose changelog holds `saved`."""
    nowhere: Any = None
    changelog = Changelog("cells", SimpleNamespace(data=saved), nowhere, check_cell)
    async with asyncio.timeout(10), _hours({BLOB_CONNECTION: AWAY}) as container:
        assert container is not None
        yield HourStore(changelog, SealedHours(container), KEY, nowhere)


def listened(at: datetime = NOW) -> SourcePartition:
    """A partition in which a listener has played a song at this moment, and which was not flushed."""
    source = SourcePartition(0, "me", 1, SongIndex(1), RegionIndex(), UserHashes(), KEY, -1)
    data = SongPlayed(user_id="user-1", song_id="song-1", played_ms=60_000, duration_ms=90_000, region="DE")
    source.apply(Batch(0, 1, [0], [NOW_MS], [encode(Event(id="e", source="/tests", time=at, data=data))]))
    return source


async def test_an_hour_that_was_never_sealed_needs_no_blob() -> None:
    source = listened()
    async with away({}) as hours:
        assert await hours.load_missing(source, NOW_MS)
        assert hours.last_error({0}) is None
    assert source.flush(NOW_MS).chunks


async def test_a_sealed_hour_waits_for_its_blob_and_says_so_no_longer_than_that() -> None:
    source, saved = listened(), {mark_key(0, HOUR).encode(): encode_mark(5)}
    async with away(saved) as hours:
        assert not await hours.load_missing(source, NOW_MS)
        assert isinstance(hours.last_error({0}), AzureError)
        assert hours.last_error({1}) is None, "another worker has the partition by now"
        saved.clear()
        assert await hours.load_missing(source, NOW_MS)
        assert hours.last_error({0}) is None


async def test_an_hour_that_can_not_be_sealed_is_told_while_it_is_due() -> None:
    source, saved = listened(), dict[bytes, bytes]()
    over_ms = NOW_MS + 2 * 3_600_000
    async with away(saved) as hours:
        assert await hours.load_missing(source, NOW_MS)
        saved |= {key.encode(): value for key, value in source.flush(NOW_MS).chunks.items() if value is not None}
        due = hours.due(source, over_ms)
        await hours.seal(0, HOUR, due[HOUR], lambda: True)
        assert isinstance(hours.last_error({0}), AzureError)
        await hours.seal(0, HOUR + 1, [], lambda: True)
        assert isinstance(hours.last_error({0}), AzureError), "another hour goes well"
        saved.clear()
        assert not hours.due(source, over_ms)
        assert hours.last_error({0}) is None


@pytest.mark.parametrize(
    ("hours_ago", "is_dropped"), [(0, False), (7 * 24, False), (8 * 24, True), (20 * 365 * 24, True)]
)
async def test_years_of_old_events_load_no_hours(hours_ago: int, is_dropped: bool) -> None:
    at = NOW - timedelta(hours=hours_ago)
    source, saved = listened(at), {mark_key(0, milliseconds(at) // 3_600_000).encode(): encode_mark(5)}
    async with away(saved) as hours:
        assert await hours.load_missing(source, NOW_MS) == is_dropped
    if is_dropped:
        assert (source.flush(NOW_MS).position, source.flush(NOW_MS).chunks) == (0, {})
