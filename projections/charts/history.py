"""What charts were: the snapshot of each hour, and what they say of one song."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct, structs

from songline.projections.store import DocumentStore
from songline.schemas.documents import CURRENT, GLOBAL, Chart, Kind, Window, chart_key, snapshot_id
from songline.schemas.types import Id, Moment

LONGEST = timedelta(days=7)
"""What an answer spans at most, 168 snapshots; whoever wants more asks again for what was before."""
USUAL = timedelta(days=1)

_SNAPSHOTS = "SELECT * FROM c WHERE c.chart = @chart AND c.id >= @first AND c.id < @end ORDER BY c.id"
_SONG = (
    "SELECT c.asOf, e.rank, e.listens, e.likes FROM c JOIN e IN c.entries "
    "WHERE c.chart = @chart AND c.id >= @first AND c.id != @current AND e.songId = @song ORDER BY c.id"
)


class History(Struct, frozen=True, kw_only=True, rename="camel"):
    """The first chart of each hour from `since` up to before `until`, oldest first; hours without one are left out."""

    kind: Kind
    window: Window
    scope: str
    since: Moment
    until: Moment
    charts: tuple[Chart, ...]


class Point(Struct, frozen=True, kw_only=True, rename="camel"):
    """A song in a chart of the last hour: what was listened and liked in the hour before `as_of`, and its rank."""

    as_of: Moment
    rank: int
    listens: int
    likes: int


class Standing(Struct, frozen=True, kw_only=True, rename="camel"):
    """A song in the chart of a window now; it is among the first hundred."""

    window: Window
    rank: int
    listens: int
    likes: int
    previous_rank: int | None


class SongHistory(Struct, frozen=True, kw_only=True, rename="camel"):
    """How often a song was listened to: in the last hour of each snapshot of the last week in which it was among the
    first hundred of the world, oldest first; and in each window now. `as_of` is when it was read."""

    as_of: Moment
    song_id: Id
    points: tuple[Point, ...]
    standings: tuple[Standing, ...]


async def snapshots(
    store: DocumentStore, kind: Kind, window: Window, scope: str, since: datetime, until: datetime, limit: int
) -> History:
    """The snapshots of a chart, `limit` lines of each. Raises Unavailable."""
    parameters: list[dict[str, object]] = [
        {"name": "@chart", "value": chart_key(kind, window, scope)},
        {"name": "@first", "value": snapshot_id(since.astimezone(UTC))},
        {"name": "@end", "value": _end(until)},
    ]
    found = await store.find(_SNAPSHOTS, parameters, int(LONGEST / timedelta(hours=1)) + 1, Chart)
    charts = tuple(
        structs.replace(chart, entries=chart.entries[:limit]) for chart in found if since <= chart.as_of < until
    )
    return History(kind=kind, window=window, scope=scope, since=since, until=until, charts=charts)


async def of_song(store: DocumentStore, song_id: Id, windows: tuple[Window, ...], now: datetime) -> SongHistory:
    """What the global top charts say of the song. Raises Unavailable."""
    parameters: list[dict[str, object]] = [
        {"name": "@chart", "value": chart_key("top", "1h", GLOBAL)},
        {"name": "@first", "value": snapshot_id(now.astimezone(UTC) - LONGEST)},
        {"name": "@current", "value": CURRENT},
        {"name": "@song", "value": song_id},
    ]
    points = await store.find(_SONG, parameters, int(LONGEST / timedelta(hours=1)) + 1, Point)
    now_in = {window: await store.read(CURRENT, chart_key("top", window, GLOBAL), Chart) for window in windows}
    standings = tuple(
        Standing(
            window=window,
            rank=entry.rank,
            listens=entry.listens,
            likes=entry.likes,
            previous_rank=entry.previous_rank,
        )
        for window, chart in now_in.items()
        if chart is not None
        for entry in chart.entries
        if entry.song_id == song_id
    )
    return SongHistory(as_of=now, song_id=song_id, points=tuple(points), standings=standings)


def _end(until: datetime) -> str:
    """What is behind the ids of all snapshots before `until`, and before that of the next hour."""
    return f"{snapshot_id(until.astimezone(UTC))}~"
