"""What the read side serves: the documents in Cosmos DB, and the names they are found under."""

from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

from songline.schemas.types import Moment

Kind = Literal["top", "trending"]
Window = Literal["5m", "1h", "24h", "7d"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WINDOWS: tuple[Window, ...] = get_args(Window)

GLOBAL = "global"
UNKNOWN_GENRE = "unknown"
CHART_SIZE = 100
CURRENT = "current"


class ChartEntry(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One line of a chart: counts are those of the window, `score` is what the chart ranks by.

    `previous_rank` is the rank in the snapshot that the chart is compared with, None for a song that is not in it;
    title, artist and genre are None until the song's upload is known.
    """

    rank: int
    song_id: str
    title: str | None
    artist: str | None
    genre: str | None
    listens: int
    likes: int
    score: float
    previous_rank: int | None


class Chart(Struct, frozen=True, kw_only=True, rename="camel"):
    """A chart as of a moment.

    `complete_through`: every event that the hub had before this moment is counted. `position`: partition of
    `music-events` to the offset of the last event that is counted. `compared_with`: the moment of the hourly snapshot
    that previous ranks are of, None where there is none yet, and so no newcomers either.
    """

    kind: Kind
    window: Window
    scope: str
    policy: str
    as_of: Moment
    complete_through: Moment | None
    position: dict[str, int]
    compared_with: Moment | None = None
    entries: list[ChartEntry]


def chart_key(kind: str, window: str, scope: str) -> str:
    """The partition key of a chart's documents, `top:1h:region:DE`."""
    return f"{kind}:{window}:{scope}"


def snapshot_id(moment: datetime) -> str:
    """The id of the hourly snapshot that `moment` (UTC) falls in, `2026-11-22T14`; the live document is `current`."""
    return f"{moment:%Y-%m-%dT%H}"
