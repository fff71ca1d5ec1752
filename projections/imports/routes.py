"""Imports of histories over HTTP: how far one is, and a listener's."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from songline.projections.http import openapi
from songline.projections.http.ids import ImportId, UserId
from songline.projections.http.numbers import IS_WHOLE
from songline.projections.http.problems import Problem, answer
from songline.projections.http.responses import plain
from songline.projections.imports.queries import MAX_LISTED, imports_of, one_import
from songline.projections.staleness import READ_NOW
from songline.schemas.imports import ImportsAnswer, shown_import
from songline.schemas.permission import permission_of


def routes(app: FastAPI, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Add the routes of imports. The app's state has `imported`, a DocumentStore."""

    @app.get(
        "/v1/users/{user_id}/imports",
        summary="A listener's imports",
        responses=openapi.answers("ImportsAnswer", 400, 404, 503),
        dependencies=[READ_NOW],
    )
    async def several(
        request: Request,
        user_id: UserId,
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="The most imports"), IS_WHOLE] = 20,
    ) -> Response:
        """The most recently updated first."""
        as_of = now()
        found = await imports_of(request.app.state.imported, user_id, limit)
        shown = tuple(shown_import(one, as_of) for one in found)
        return plain(ImportsAnswer(as_of=as_of, user_id=user_id, imports=shown))

    @app.get(
        "/v1/imports/{import_id}",
        summary="An import",
        responses=openapi.answers("ImportAnswer", 400, 404, 503),
        dependencies=[READ_NOW],
    )
    async def one(request: Request, import_id: ImportId) -> Response:
        """How far it is, and in the end what came of it."""
        as_of = now()
        found = await one_import(request.app.state.imported, import_id)
        if found is None:
            detail = f"There is no import {import_id}: it is the id in the Location that the file was answered with."
            return answer(Problem("No such import", 404, detail))
        permission_of(request.scope).check("the import's userId", found.user_id)
        return plain(shown_import(found, as_of))
