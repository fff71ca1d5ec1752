"""The history of charts: a snapshot for each hour, and the history of one song in them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct, structs

from songline.projections.songs.titles import Title
from songline.projections.store import DocumentStore
from songline.schemas.documents import CURRENT, GLOBAL, Chart, ChartEntry, Kind, Window, chart_key, snapshot_id
from songline.schemas.types import Id, Moment

LONGEST = timedelta(days=7)
"""The longest span of an answer, 168 snapshots. Earlier snapshots take another request."""
USUAL = timedelta(days=1)

_SNAPSHOTS = "SELECT * FROM c WHERE c.chart = @chart AND c.id >= @first AND c.id < @end ORDER BY c.id"
_SONG = (
    "SELECT c.asOf, e.rank, e.listens, e.likes FROM c JOIN e IN c.entries "
    "WHERE c.chart = @chart AND c.id >= @first AND c.id != @current AND e.songId = @song ORDER BY c.id"
)


class History(Struct, frozen=True, kw_only=True, rename="camel"):
    """The first chart of each hour from `since` to before `until`, oldest first. Hours without a chart are left out."""

    kind: Kind
    window: Window
    scope: str
    since: Moment
    until: Moment
    charts: tuple[Chart, ...]


class Point(Struct, frozen=True, kw_only=True, rename="camel"):
    """A song in a chart of the last hour: its rank, and its listens and likes in the hour before `as_of`."""

    as_of: Moment
    rank: int
    listens: int
    likes: int


class Standing(Struct, frozen=True, kw_only=True, rename="camel"):
    """A song in the current chart of a window, which has the first hundred songs."""

    window: Window
    rank: int
    listens: int
    likes: int
    previous_rank: int | None


class SongHistory(Struct, frozen=True, kw_only=True, rename="camel"):
    """How often a song was listened to.

    `points` has the snapshots of the last week in which the song was among the first hundred of the global chart,
    oldest first. `standings` has the current chart of each window. `as_of` is the time of the request.
    """

    as_of: Moment
    song_id: Id
    points: tuple[Point, ...]
    standings: tuple[Standing, ...]


async def snapshots(
    store: DocumentStore, kind: Kind, window: Window, scope: str, since: datetime, until: datetime, limit: int
) -> History:
    """The snapshots of a chart, with at most `limit` entries each. Raises StoreUnavailableError."""
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


def song_ids(found: History) -> set[str]:
    """The songs in the charts."""
    return {entry.song_id for chart in found.charts for entry in chart.entries}


def renamed(found: History, titles: Mapping[str, Title | None]) -> History:
    """The charts with the names that their songs have now; those without a name keep that of then."""
    charts = tuple(
        structs.replace(chart, entries=[_renamed(entry, titles.get(entry.song_id)) for entry in chart.entries])
        for chart in found.charts
    )
    return structs.replace(found, charts=charts)


def _renamed(entry: ChartEntry, title: Title | None) -> ChartEntry:
    return entry if title is None else structs.replace(entry, title=title.title, artist=title.artist)


async def of_song(store: DocumentStore, song_id: Id, windows: tuple[Window, ...], now: datetime) -> SongHistory:
    """The song's history in the global top charts. Raises StoreUnavailableError."""
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
    """An id that sorts after those of all snapshots before `until`, and before that of the next hour."""
    return f"{snapshot_id(until.astimezone(UTC))}~"
