"""Listeners' libraries over HTTP."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from msgspec import structs
from starlette.responses import Response

from songline.projections import past
from songline.projections import read_your_writes as reaching
from songline.projections.freshness import freshness
from songline.projections.http import openapi
from songline.projections.http.ids import UserId
from songline.projections.http.moments import Moment
from songline.projections.http.numbers import IS_WHOLE
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import plain, shown
from songline.projections.hub_creation import HubCreation, known
from songline.projections.library import queries as libraries
from songline.projections.library.library_reader import LibraryReader
from songline.projections.library.lists import Filter, LibraryCursorError, LibraryLists, Sort, library_query
from songline.projections.library.queries import LibraryTooLargeError
from songline.projections.live_version import ServedVersion, VersionedStores, VersionGoneError
from songline.projections.page_size import MAX_LIMIT
from songline.projections.past import AsOf, PastMomentError, PastReader
from songline.projections.read_your_writes import POSITION_RULE, WAIT, BehindError, MinPosition, PositionError, Wait
from songline.projections.songs.served_songs import SongVersions
from songline.projections.staleness import MaxStaleness, StalenessCheck
from songline.projections.version_cursor import VersionCursorError, split_versions, with_versions
from songline.schemas.caller_name import caller_name
from songline.schemas.channels import LIBRARY
from songline.schemas.library.action import microseconds
from songline.schemas.library.fold import RECENT
from songline.schemas.progress import Watermark
from songline.schemas.projections import FIRST_VERSION

Now = Callable[[], datetime]

Since = Annotated[
    Moment | None,
    Query(description="Only what was heard from then on", examples=["2021-03-22T00:00:00Z"]),
]
Until = Annotated[
    Moment | None,
    Query(description="Only what was heard before", examples=["2021-03-23T00:00:00Z"]),
]

GONE = "`next` of the page before; its version of the list was dropped: begin with the first page"


def routes(app: FastAPI, now: Now = lambda: datetime.now(UTC)) -> None:
    """Add the routes of libraries.

    The app's state has `versions`, the VersionedStores, `songs`, the SongVersions in them, `libraries`, a
    LibraryReader, and `hub`, a HubCreation or None.
    """
    _library(app, now)
    _recent(app, now)
    _summary(app, now)
    _problems(app)


def _library(app: FastAPI, now: Now) -> None:
    @app.get(
        "/v1/users/{user_id}/library",
        summary="A listener's library",
        responses=openapi.answers("Library", 400, 404, 501, 503),
    )
    async def library(
        request: Request,
        user_id: UserId,
        filter: Annotated[Filter | None, Query(description="Only these songs")] = None,  # noqa: A002  # its name
        sort: Annotated[
            Sort,
            Query(
                description="`recent`: last played (liked, uploaded) first; `plays`: most played first; or by `title`"
            ),
        ] = "recent",
        cursor: Annotated[str | None, Query(max_length=2000, description="`next` of the previous page")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The most songs on a page"), IS_WHOLE] = 20,
        min_position: MinPosition = None,
        wait: Wait = WAIT,
        max_staleness: MaxStaleness = None,
        as_of: AsOf = None,
        since: Since = None,
        until: Until = None,
    ) -> Response:
        """The songs that the listener played, likes or uploaded, with titles from the catalog. A listener without any
        event has an empty library. `next` is the cursor of the next page, and null on the last page."""
        try:
            (version, songs_version), place = split_versions(cursor, 2)
            query = library_query(filter, sort, place)
        except (LibraryCursorError, VersionCursorError):
            rule = "`next` of the page before, with the same filter and sort"
            return refused(400, "No such page", (Fault("cursor", shown(cursor), rule),))
        try:
            fresh, lists, read_version = await _read_at(
                request, now, user_id, min_position, wait, max_staleness, as_of, (since, until), version
            )
            songs = await _songs(request).of(songs_version)
        except VersionGoneError:
            return refused(400, "No such page", (Fault("cursor", shown(cursor), GONE),))
        page = await libraries.page(lists, songs.titles_within(max_staleness), user_id, query, limit, fresh)
        return plain(structs.replace(page, next=with_versions(page.next, read_version, songs.version)))


def _recent(app: FastAPI, now: Now) -> None:
    @app.get(
        "/v1/users/{user_id}/recent",
        summary="A listener's last listens",
        responses=openapi.answers("Recent", 400, 404, 501, 503),
    )
    async def recent(
        request: Request,
        user_id: UserId,
        limit: Annotated[int, Query(ge=1, le=RECENT, description="The most listens"), IS_WHOLE] = RECENT,
        min_position: MinPosition = None,
        wait: Wait = WAIT,
        max_staleness: MaxStaleness = None,
        as_of: AsOf = None,
        since: Since = None,
        until: Until = None,
    ) -> Response:
        """The listener's last listens by the time they happened, newest first."""
        fresh, lists, _ = await _read_at(
            request, now, user_id, min_position, wait, max_staleness, as_of, (since, until)
        )
        titles = (await _songs(request).live()).titles_within(max_staleness)
        return plain(await libraries.recent(lists, titles, user_id, limit, fresh))


def _summary(app: FastAPI, now: Now) -> None:
    @app.get(
        "/v1/users/{user_id}/summary",
        summary="A listener's totals",
        responses=openapi.answers("LibrarySummary", 400, 404, 501, 503),
    )
    async def summary(
        request: Request,
        user_id: UserId,
        min_position: MinPosition = None,
        wait: Wait = WAIT,
        max_staleness: MaxStaleness = None,
        as_of: AsOf = None,
        since: Since = None,
        until: Until = None,
    ) -> Response:
        """The listener's time of listening, and the number of songs in the library."""
        fresh, lists, _ = await _read_at(
            request, now, user_id, min_position, wait, max_staleness, as_of, (since, until)
        )
        # The catalog is asked for the owners of uploads alone.
        titles = (await _songs(request).live()).titles_within(max_staleness) if lists.library.uploaded else None
        return plain(await libraries.summary(lists, titles, user_id, fresh))


async def _read_at(
    request: Request,
    now: Now,
    user_id: str,
    min_position: str | None,
    wait: float,
    max_staleness: str | None,
    as_of: datetime | None,
    window: tuple[datetime | None, datetime | None],
    version: int | None = None,
) -> tuple[dict[str, Any], LibraryLists, int]:
    """The listener's library, its freshness and its version: of now, the live one without `version`; or of a moment of
    the past, which is of no version and counts as the first.

    Raises PositionError, BehindError, TooStaleError, VersionGoneError, StoreUnavailableError, and the errors of
    `songline.projections.past`.
    """
    if as_of is None:
        fresh, served = await _fresh(request, now, min_position, wait, max_staleness, version)
        if window != (None, None):
            reader: LibraryReader = request.app.state.libraries
            return fresh, await reader.read_window(served, user_id, *map(_us, window)), served.version
        return fresh, await _read(request, served, user_id), served.version
    if window != (None, None):
        raise PastMomentError("no `since` and no `until` beside it")
    past.only_one(min_position, max_staleness)
    second = past.second_of(as_of, now())
    past_reader: PastReader = request.app.state.past
    found = await past_reader.library(user_id, second, caller_name(request.scope))
    moment = datetime.fromtimestamp(second, UTC)
    fresh = {"as_of": moment, "complete_through": moment, "position": found.position}
    return fresh, LibraryLists(found.library), FIRST_VERSION


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


async def _read(request: Request, served: ServedVersion, user_id: str) -> LibraryLists:
    """The listener's library, to be read after its freshness. Raises StoreUnavailableError."""
    reader: LibraryReader = request.app.state.libraries
    return await reader.read(served, user_id)


def _songs(request: Request) -> SongVersions:
    songs: SongVersions = request.app.state.songs
    return songs


async def _fresh(
    request: Request,
    now: Now,
    min_position: str | None,
    wait: float,
    max_staleness: str | None,
    version: int | None = None,
) -> tuple[dict[str, Any], ServedVersion]:
    """The fields of Freshness, once the library has applied `min_position`, and the version that they are of: the live
    one without `version`.

    Raises PositionError, BehindError, TooStaleError, VersionGoneError and StoreUnavailableError.
    """

    hub: HubCreation | None = request.app.state.hub
    versions: VersionedStores = request.app.state.versions
    reader: LibraryReader = request.app.state.libraries

    async def read() -> tuple[dict[str, Watermark], ServedVersion]:
        # Asked each time: the version before does not go on once another one is live.
        served = await versions.of(LIBRARY, version)
        if hub is None or min_position is None:
            created_at = known(request.app.state)
        else:
            created_at = await hub.created_at()
        return await reader.watermarks(served, created_at), served

    def position(found: tuple[dict[str, Watermark], ServedVersion]) -> Mapping[str, int]:
        return {partition: one.position for partition, one in found[0].items()}

    reached, served = await reaching.reaching("libraries", read, position, reaching.parse(min_position), wait)
    check: StalenessCheck = request.app.state.staleness
    through = await check.through("libraries", max_staleness, reached)
    return freshness(now(), through, reached), served


def _problems(app: FastAPI) -> None:
    @app.exception_handler(PositionError)
    async def bad(request: Request, error: PositionError) -> Response:
        return refused(400, "No such position", (Fault("min_position", shown(str(error)), POSITION_RULE),))

    @app.exception_handler(BehindError)
    async def behind(request: Request, error: BehindError) -> Response:
        return answer(Problem("Not there yet", 503, f"{error}. Ask again."), reaching.RETRY_SECONDS)

    @app.exception_handler(LibraryTooLargeError)
    async def too_large(request: Request, error: LibraryTooLargeError) -> Response:
        return refused(400, "Too large to sort by title", (Fault("sort", '"title"', f"recent or plays: {error}"),))
