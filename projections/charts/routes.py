"""Charts over HTTP, current and past, as JSON, CSV or Parquet."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import FastAPI, Header, Query, Request
from fastapi import Path as InPath
from msgspec import Struct, structs
from starlette.responses import Response

from songline.projections import past
from songline.projections.charts import history
from songline.projections.charts import queries as charts
from songline.projections.charts.names import with_names
from songline.projections.http import negotiation, openapi
from songline.projections.http.ids import SongId
from songline.projections.http.moments import Moment
from songline.projections.http.numbers import IS_WHOLE
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import fresh, plain, shown
from songline.projections.hub_creation import HubCreation
from songline.projections.live_version import VersionedStores
from songline.projections.past import AsOf, PastReader
from songline.projections.read_your_writes import WAIT, MinPosition, Wait, parse, reaching
from songline.projections.songs.served_songs import SongVersions
from songline.projections.songs.titles import Title
from songline.projections.staleness import READ_NOW, MaxStaleness, StalenessCheck
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.caller_name import caller_name
from songline.schemas.channels import CHARTS
from songline.schemas.documents import CHART_SIZE, GLOBAL, KINDS, WINDOWS, Chart, Kind, Window, chart_key
from songline.schemas.plays import SongPlays
from songline.schemas.regions import REGIONS

# The trending worker writes a chart at most once a second, so a cached copy is valid for that long.
CHART_CACHE = "public, max-age=1"
# A cache would make an answer older than its caller allows.
CHECKED_CACHE = "no-cache"
INDEX_CACHE = "public, max-age=3600"
RETRY_SECONDS = 2

WhichKind = Annotated[Kind, InPath(description="`top` ranks by listens, `trending` by growth")]
WhichWindow = Annotated[Window, InPath(description="The time span of the chart")]
Scope = Annotated[str, Query(description=charts.SCOPE_RULE, examples=["global", "region:DE"])]
Accept = Annotated[str | None, Header(description="`application/json`, `text/csv` or `application/vnd.apache.parquet`")]


class Index(Struct, frozen=True, kw_only=True, rename="camel"):
    """The available charts. A scope is `global`, or `region:` and one of `regions`, or `genre:` and a genre's name."""

    kinds: tuple[str, ...] = KINDS
    windows: tuple[str, ...] = WINDOWS
    scopes: tuple[str, ...] = ("global", "region:XX", "genre:name")
    regions: tuple[str, ...] = tuple(sorted(REGIONS))
    max_limit: int = CHART_SIZE


def routes(app: FastAPI, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Add the routes of charts. The app's state has `versions`, the VersionedStores, `past`, a PastReader, and `hub`, a
    HubCreation or None."""
    _current(app, now)
    _before(app, now)


def _current(app: FastAPI, now: Callable[[], datetime]) -> None:
    @app.get(
        "/v1/charts",
        summary="The available charts",
        responses=openapi.answers("Index", 304, 400),
        dependencies=[READ_NOW],
    )
    async def index(request: Request) -> Response:
        return fresh(request, Index(), INDEX_CACHE)

    @app.get(
        "/v1/charts/{kind}/{window}", summary="A chart", responses=openapi.tables("Chart", 304, 400, 404, 406, 501, 503)
    )
    async def chart(
        request: Request,
        kind: WhichKind,
        window: WhichWindow,
        scope: Scope = GLOBAL,
        limit: Annotated[int, Query(ge=1, le=CHART_SIZE, description="The most entries"), IS_WHOLE] = CHART_SIZE,
        accept: Accept = None,
        min_position: MinPosition = None,
        wait: Wait = WAIT,
        max_staleness: MaxStaleness = None,
        as_of: AsOf = None,
    ) -> Response:
        """Every answer has its freshness: `asOf`, `completeThrough` and `position`. A scope without events has no
        entries. With `If-None-Match`, an unchanged chart is answered with 304."""
        known = charts.read_scope(scope)
        if known is None:
            return refused(400, "No such scope", (Fault("scope", shown(scope), charts.SCOPE_RULE),))
        form = negotiation.chosen(accept)
        if form is None:
            return unacceptable(accept)

        hub: HubCreation | None = request.app.state.hub

        async def read() -> tuple[Chart | None, Mapping[str, int]]:
            created_at = None if hub is None or min_position is None else await hub.created_at()
            # Asked each time: the version before does not go on once another one is live.
            found = await charts.chart(await _store(request), kind, window, known, limit)
            return found, {} if found is None else charts.position_in(found, created_at)

        if as_of is not None:
            past.only_one(min_position, max_staleness)
            found = await _past(request, chart_key(kind, window, known), past.second_of(as_of, now()), limit)
        else:
            view, wanted = f"chart {kind} {window} {known}", parse(min_position)
            found, _ = await reaching(view, read, lambda read: read[1], wanted, wait)
            if found is not None:
                _staleness(request).check("charts", max_staleness, found.complete_through)
        if found is None:
            detail = f"The {kind} chart of the last {window} has not been computed yet; the trending worker makes it."
            return answer(Problem("Not computed yet", 503, detail), RETRY_SECONDS)
        found = await with_names(found, lambda: _songs(request), max_staleness)
        if form == negotiation.JSON:
            response = fresh(request, found, CHART_CACHE if max_staleness is None else CHECKED_CACHE)
        else:
            response = tabled((found,), form, f"{kind}-{window}")
        response.headers["Vary"] = "Accept"
        return response


def _before(app: FastAPI, now: Callable[[], datetime]) -> None:
    @app.get(
        "/v1/charts/{kind}/{window}/history",
        summary="The history of a chart, hour by hour",
        responses=openapi.tables("History", 400, 404, 406, 503),
    )
    async def before(
        request: Request,
        kind: WhichKind,
        window: WhichWindow,
        scope: Scope = GLOBAL,
        since: Annotated[
            Moment | None, Query(description="From this moment on; the default is a day before `until`")
        ] = None,
        until: Annotated[Moment | None, Query(description="Before this moment; the default is now")] = None,
        limit: Annotated[int, Query(ge=1, le=CHART_SIZE, description="The most entries of each chart"), IS_WHOLE] = 10,
        max_staleness: MaxStaleness = None,
        accept: Accept = None,
    ) -> Response:
        """The first chart of each UTC hour, oldest first, over at most seven days. An hour in which the trending worker
        did not run has none. Songs have the names that they have now. As a table, each entry is a row."""
        known = charts.read_scope(scope)
        if known is None:
            return refused(400, "No such scope", (Fault("scope", shown(scope), charts.SCOPE_RULE),))
        end = until or now()
        begin = since or _day_before(end)
        if not timedelta() < end - begin <= history.LONGEST:
            return refused(400, "Not a time to look at", (_no_span(since, end),))
        form = negotiation.chosen(accept)
        if form is None:
            return unacceptable(accept)
        store = await _store(request)
        if max_staleness is not None:
            # A snapshot is of its hour's first moment: nothing that came after `end` is in one.
            through = await charts.complete_through(store, chart_key(kind, window, known))
            _staleness(request).check("charts", max_staleness, through, end)
        found = await history.snapshots(store, kind, window, known, begin, end, limit)
        found = history.renamed(found, await _titles(request, history.song_ids(found), max_staleness))
        name = f"{kind}-{window}-history"
        response = plain(found) if form == negotiation.JSON else tabled(found.charts, form, name)
        response.headers["Vary"] = "Accept"
        return response

    @app.get(
        "/v1/songs/{song_id}/history",
        summary="How often a song was listened to",
        responses=openapi.answers("SongHistory", 400, 404, 503),
    )
    async def of_song(request: Request, song_id: SongId, max_staleness: MaxStaleness = None) -> Response:
        """The hours and windows in which the song was among the first hundred of the global chart. Another song, or an
        unknown one, has no points."""
        store = await _store(request)
        if max_staleness is not None:
            shown_in = (chart_key("top", one, GLOBAL) for one in WINDOWS)
            _staleness(request).check("charts", max_staleness, await charts.complete_through(store, *shown_in))
        return plain(await history.of_song(store, song_id, WINDOWS, now()))


async def _titles(request: Request, song_ids: set[str], max_staleness: str | None) -> Mapping[str, Title | None]:
    """The songs' names of now, read no longer ago than `max_staleness`; none while the catalog can't be read, where
    charts keep those of then."""
    try:
        return await (await _songs(request).live()).titles_within(max_staleness).of(song_ids)
    except StoreUnavailableError:
        return {}


def _songs(request: Request) -> SongVersions:
    versions: SongVersions = request.app.state.songs
    return versions


async def _store(request: Request) -> DocumentStore:
    """The container of the live version. Raises StoreUnavailableError."""
    versions: VersionedStores = request.app.state.versions
    return (await versions.live(CHARTS)).store


def _staleness(request: Request) -> StalenessCheck:
    check: StalenessCheck = request.app.state.staleness
    return check


async def _past(request: Request, key: str, second: int, limit: int) -> Chart | None:
    """The first entries of a chart of the past. Raises the errors of `songline.projections.past`."""
    reader: PastReader = request.app.state.past

    async def live() -> int:
        versions: VersionedStores = request.app.state.versions
        return (await versions.live(CHARTS)).version

    found = await reader.chart(key, second, caller_name(request.scope), live)
    return structs.replace(found, entries=found.entries[:limit])


def tabled(found: tuple[Chart, ...] | SongPlays, form: str, name: str) -> Response:
    """The charts, or a song's hours, as a file that a browser saves under `name`."""
    # The import of polars takes a fifth of the API's start, and few clients ask for tables.
    from songline.projections.http import tables

    ending = "csv" if form == negotiation.CSV else "parquet"
    headers = {"Content-Disposition": f'attachment; filename="{name}.{ending}"', "Cache-Control": "no-store"}
    made = tables.hours(found) if isinstance(found, SongPlays) else tables.table(found)
    return Response(tables.written(made, form), headers=headers, media_type=form)


def unacceptable(accept: str | None) -> Response:
    """The answer 406 to a request whose `Accept` allows none of the available forms."""
    detail = f"Accept: saw {shown(accept)}, expected one of {', '.join(negotiation.FORMS)}."
    return answer(Problem("Nothing that you take", 406, detail))


def _day_before(moment: datetime) -> datetime:
    try:
        return moment - history.USUAL
    except OverflowError:
        return moment


def _no_span(since: datetime | None, until: datetime) -> Fault:
    if since is None:
        return Fault("until", shown(until), "a moment that has a day before it")
    return Fault("since", shown(since), "a moment before `until`, by 7 days at most")
