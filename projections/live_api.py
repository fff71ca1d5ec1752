"""What is going on, as server-sent events."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.responses import Response

from projections import charts, openapi
from projections.answers import shown
from projections.live_feed import Asked, Feed, Full
from projections.problems import Fault, Problem, answer, refused
from projections.store import Unavailable
from schemas.decoding import read_text
from schemas.documents import GLOBAL, Kind, Window

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
RETRY_MS = 2000
"""How long an EventSource waits before it connects again."""


def routes(app: FastAPI) -> None:
    """The app's state has `feed`, a Feed."""

    @app.get(
        "/v1/live",
        summary="What is going on, as it happens",
        responses=openapi.live(400, 503),
        response_class=Response,
    )
    async def follow(
        request: Request,
        kind: Annotated[Kind | None, Query(description="With `window`: follow this chart too")] = None,
        window: Annotated[Window | None, Query(description="The time that the chart looks back")] = None,
        scope: Annotated[str, Query(description=charts.SCOPE_RULE)] = GLOBAL,
    ) -> Response:
        """Server-sent events, about one `live` a second, and one `chart` whenever the chart that is followed changes.
        Each says all there is to say: whoever reads slowly misses nothing but what is over. The stream has no end."""
        if (kind is None) != (window is None):
            return refused(400, "Half a chart", (Fault("kind", shown(kind), "both kind and window, or neither"),))
        if not charts.is_scope(scope):
            return refused(400, "No such scope", (Fault("scope", shown(scope), charts.SCOPE_RULE),))
        asked = None if kind is None or window is None else Asked(kind, window, scope)
        feed: Feed = request.app.state.feed
        if feed.full:
            return answer(Problem("Too many watch", 503, "Come again later, or ask another process."), RETRY_SECONDS)
        return EventSourceResponse(
            stream(feed, asked), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )


async def stream(feed: Feed, asked: Asked | None) -> AsyncIterator[bytes]:
    """Events for one watcher. Source: HTML Living Standard, section 9.2 (server-sent events)."""
    yield format_sse_event(retry=RETRY_MS)
    number, told = 0, b""
    try:
        async with feed.watching():
            while True:
                number, latest = await feed.after(number)
                yield _event("live", msgspec.json.encode(latest))
                if asked is None:
                    continue
                try:
                    chart = await feed.chart(asked)
                except Unavailable:
                    # The `live` event says so; the chart that is shown grows older meanwhile.
                    continue
                now = msgspec.json.encode(chart)
                if now != told:
                    told = now
                    yield _event("chart", now)
    except Full:
        # Another watcher was faster. The stream ends, and an EventSource comes again.
        return


def _event(name: str, data: bytes) -> bytes:
    return format_sse_event(event=name, data_str=read_text(data))
