"""Parked records over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import FastAPI, Request
from starlette.responses import Response

from songline.projections.http import openapi
from songline.projections.http.responses import plain
from songline.projections.parked.queries import parked_last
from songline.projections.staleness import READ_NOW


def routes(app: FastAPI, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Add the route. The app's state has `parked`, a DocumentStore."""

    @app.get(
        "/v1/parked",
        summary="Parked records: those that a reader could not apply",
        responses=openapi.answers("ParkedAnswer", 400, 503),
        dependencies=[READ_NOW],
    )
    async def parked(request: Request) -> Response:
        """The records that were parked last, without their bodies, each with the readers that parked it and why.

        `songline parked` shows their bodies, resubmits or discards them."""
        return plain(await parked_last(request.app.state.parked, now()))
