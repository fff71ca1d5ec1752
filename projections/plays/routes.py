"""A song's plays by hour over HTTP, as JSON, CSV or Parquet."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from songline.projections.charts.routes import Accept, tabled, unacceptable
from songline.projections.freshness import freshness
from songline.projections.http import negotiation, openapi
from songline.projections.http.ids import SongId
from songline.projections.http.moments import Moment
from songline.projections.http.numbers import IS_WHOLE
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import plain, shown
from songline.projections.hub_creation import known
from songline.projections.live_version import VersionedStores
from songline.projections.matches.queries import name_words
from songline.projections.plays import queries as plays
from songline.projections.songs import queries as songs
from songline.projections.songs.served_songs import SongVersions
from songline.projections.staleness import MaxStaleness, StalenessCheck
from songline.schemas.channels import PLAYS
from songline.schemas.song_names import is_name_id

EARLIEST = datetime(2000, 1, 8, tzinfo=UTC)
"""No event is older than 2000-01-01, a week before this moment."""
AHEAD = timedelta(hours=1)
"""How far a caller's clock may be ahead; the same limit as for events."""


def routes(app: FastAPI, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Add the route. The app's state has `versions`, the VersionedStores, `songs`, the SongVersions, `names`, a
    DocumentStore, and `hub`, a HubCreation or None."""

    @app.get(
        "/v1/songs/{song_id}/plays",
        summary="A song's plays, hour by hour",
        responses=openapi.tables("SongPlays", 400, 404, 406, 410, 503),
    )
    async def of_song(
        request: Request,
        song_id: SongId,
        hours: Annotated[
            int, Query(ge=1, le=plays.LONGEST, description="The number of UTC hours"), IS_WHOLE
        ] = plays.USUAL,
        until: Annotated[
            Moment | None, Query(description="Hours that begin before this moment; the default is now")
        ] = None,
        max_staleness: MaxStaleness = None,
        accept: Accept = None,
    ) -> Response:
        """Every hour, oldest first, also hours without plays. `counting` says that an hour may still grow:
        `completeThrough` has not reached its end. A late event counts in the hour of its own time, up to seven days
        later. A song with plays that is not in the catalog has its hours too, and so has one that is known by name."""
        moment = now()
        end = until or moment
        if not EARLIEST <= end <= moment + AHEAD:
            rule = f"a moment from {EARLIEST:%Y-%m-%d} on that is not to come"
            return refused(400, "Not a time to look at", (Fault("until", shown(end), rule),))
        form = negotiation.chosen(accept)
        if form is None:
            return unacceptable(accept)
        catalog: SongVersions = request.app.state.songs
        versions: VersionedStores = request.app.state.versions
        store = (await versions.live(PLAYS)).store
        check: StalenessCheck = request.app.state.staleness
        # Read first, so that it holds for the days that are read after it.
        reached = await plays.read_watermarks(store, song_id, known(request.app.state))
        through = await check.through("plays", max_staleness, reached)
        if is_name_id(song_id):
            is_named = await name_words(request.app.state.names, song_id) is not None
        else:
            is_named = await songs.song((await catalog.live()).store, song_id) is not None
        if not is_named and not await plays.known(store, song_id):
            detail = f"The catalog knows no song {song_id}, and nobody heard one. /v1/songs lists songs."
            return answer(Problem("No such song", 404, detail))
        found = await plays.of_song(store, song_id, end, hours, freshness(now(), through, reached))
        response = plain(found) if form == negotiation.JSON else tabled(found, form, f"{song_id}-plays")
        response.headers["Vary"] = "Accept"
        return response
