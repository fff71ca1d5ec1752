"""Reads a song's plays hour by hour, from the documents per day that the trending worker writes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from songline.projections.freshness import earliest, of_hub
from songline.projections.store import DocumentStore
from songline.schemas.plays import SHARDS_KEY, HourPlays, ShardProgressDocument, SongDay, SongPlays, day_id
from songline.schemas.progress import Watermark
from songline.schemas.types import Id

LONGEST = 168
"""The most hours in an answer. Earlier hours take another request."""
USUAL = 24
HOUR = timedelta(hours=1)

_SHARDS_AT_MOST = 1_024
_SHARDS = "SELECT * FROM c"
_ANY = "SELECT TOP 1 * FROM c"
_DAYS = "SELECT * FROM c WHERE c.id >= @first AND c.id <= @last"


async def known(store: DocumentStore, song_id: Id) -> bool:
    """Whether any plays of the song are recorded. Raises StoreUnavailableError."""
    return bool(await store.find_within(song_id, _ANY, [], 1, SongDay))


async def read_watermarks(store: DocumentStore, song_id: Id, created_at: datetime | None) -> dict[str, Watermark]:
    """How far a song's days are, to be read before them, in the hub that was created at `created_at`, None if that is
    unknown: as far as all shards are; empty where Cosmos DB refuses a day of the song. Raises
    StoreUnavailableError."""
    shards = await store.find_within(SHARDS_KEY, _SHARDS, [], _SHARDS_AT_MOST, ShardProgressDocument)
    if any(song_id in one.refused for one in shards):
        return {}
    return watermarks([structs.replace(one, partitions=of_hub(one.partitions, created_at)) for one in shards])


async def of_song(
    store: DocumentStore, song_id: Id, until: datetime, hours: int, fresh: Mapping[str, Any]
) -> SongPlays:
    """The plays in the last `hours` UTC hours that begin before `until`. `fresh` has the fields of Freshness. Raises
    StoreUnavailableError."""
    last = _hour(until - timedelta(microseconds=1))
    first = last - (hours - 1) * HOUR
    parameters: list[dict[str, object]] = [
        {"name": "@first", "value": day_id(first)},
        {"name": "@last", "value": day_id(last)},
    ]
    days = await store.find_within(song_id, _DAYS, parameters, LONGEST, SongDay)
    return SongPlays(song_id=song_id, hours=tuple(counted(days, first, hours, fresh["complete_through"])), **fresh)


def counted(
    days: Iterable[SongDay], first: datetime, hours: int, complete_through: datetime | None
) -> Iterable[HourPlays]:
    """`hours` hours from `first` on, with zeros for an hour without a document."""
    by_id = {day.id: day for day in days}
    for hour in (first + number * HOUR for number in range(hours)):
        day, place = by_id.get(day_id(hour)), hour.hour
        yield HourPlays(
            hour=hour,
            listens=0 if day is None else day.listens[place],
            likes=0 if day is None else day.likes[place],
            unlikes=0 if day is None else day.unlikes[place],
            counting=complete_through is None or complete_through < hour + HOUR,
        )


def watermarks(shards: list[ShardProgressDocument]) -> dict[str, Watermark]:
    """By partition the least of all shards; empty until every shard has written how far it is."""
    if not shards or len(shards) < max(shard.shards for shard in shards):
        return {}
    partitions = sorted({partition for shard in shards for partition in shard.partitions}, key=int)
    return {partition: _least([shard.partitions.get(partition) for shard in shards]) for partition in partitions}


def _least(reached: list[Watermark | None]) -> Watermark:
    return Watermark(
        position=min(-1 if one is None else one.position for one in reached),
        through=earliest(None if one is None else one.through for one in reached),
    )


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
