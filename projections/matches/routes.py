"""Matches of names over HTTP: which names are songs of the catalog, and from when on."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from songline.projections.http import openapi
from songline.projections.http.ids import NameId
from songline.projections.http.numbers import IS_WHOLE
from songline.projections.http.problems import Problem, answer
from songline.projections.http.responses import plain
from songline.projections.matches.queries import MAX_LISTED, match_of, matches, shown_match
from songline.projections.songs.served_songs import SongVersions
from songline.projections.staleness import READ_NOW
from songline.schemas.match_answers import MatchesAnswer


def routes(app: FastAPI, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Add the routes of matches. The app's state has `names`, a DocumentStore, and `songs`, the SongVersions."""

    @app.get(
        "/v1/matches",
        summary="Names that are songs",
        responses=openapi.answers("MatchesAnswer", 400, 503),
        dependencies=[READ_NOW],
    )
    async def several(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="The most matches"), IS_WHOLE] = 100,
    ) -> Response:
        """What was said by `PUT /v1/matches/{name}` and not taken back."""
        as_of = now()
        found = await matches(request.app.state.names, limit)
        titles = await _titles(request, [one.name for one in found])
        shown = tuple(shown_match(one, as_of, *titles[one.name]) for one in found)
        return plain(MatchesAnswer(as_of=as_of, matches=shown))

    @app.get(
        "/v1/matches/{name}",
        summary="Which song a name is",
        responses=openapi.answers("MatchAnswer", 400, 404, 503),
        dependencies=[READ_NOW],
    )
    async def one(request: Request, name: NameId) -> Response:
        """What was said last of the name."""
        as_of = now()
        found = await match_of(request.app.state.names, name)
        if found is None:
            return answer(Problem("No such match", 404, f"Nothing was said of {name}."))
        return plain(shown_match(found, as_of, *(await _titles(request, [name]))[name]))


async def _titles(request: Request, names: list[str]) -> dict[str, tuple[str | None, str | None]]:
    versions: SongVersions = request.app.state.songs
    # As they are stored now, like the matches.
    found = await (await versions.live()).titles.within(0.0).of(names)
    return {name: (None, None) if (title := found[name]) is None else (title.title, title.artist) for name in names}
