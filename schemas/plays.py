"""A song's plays over time: the documents of the container `plays`, and the answer that is made of them."""

from datetime import date, datetime

from msgspec import Struct

from songline.schemas.progress import PROGRESS, Freshness, Watermark
from songline.schemas.types import Id, Moment

HOURS = 24
SHARDS_KEY = PROGRESS
"""The partition key of the documents that say how far the shards are. No song can have it."""


class SongDay(Struct, frozen=True, kw_only=True, rename="camel"):
    """The counts of a song on a UTC day, by hour: HOURS numbers a kind. `id` is the day, `2026-11-22`.

    Counts only grow, and those of a day are written together, so `total`, the sum of them all, tells which of two
    writings is the later one.
    """

    id: str
    song_id: Id
    total: int
    listens: tuple[int, ...]
    likes: tuple[int, ...]
    unlikes: tuple[int, ...]


class ShardProgressDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far one of `shards` shards has written its songs' days, by partition of `music-events`. `id` is its number,
    `song_id` SHARDS_KEY. It does not hold for the songs in `refused`: the store did not take a day of them as it is
    now."""

    id: str
    song_id: str = SHARDS_KEY
    shards: int
    partitions: dict[str, Watermark]
    refused: tuple[str, ...] = ()


class HourPlays(Struct, frozen=True, kw_only=True, rename="camel"):
    """The UTC hour that begins at `hour`. `counting`: more may come, for it is not over or not all of it is counted."""

    hour: Moment
    listens: int
    likes: int
    unlikes: int
    counting: bool


class SongPlays(Freshness, frozen=True, kw_only=True, rename="camel"):
    """Every hour of a span, oldest first, also those without a listen."""

    song_id: Id
    hours: tuple[HourPlays, ...]


def day_id(day: date | datetime) -> str:
    """The id of the document of a UTC day."""
    return f"{day:%Y-%m-%d}"
