"""The live feed as server-sent events."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.sse import format_sse_event
from msgspec import Struct
from starlette.responses import Response

from songline.projections.charts import queries as charts
from songline.projections.http import openapi
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import shown
from songline.projections.http.unread import EventStream
from songline.projections.live.feed import FeedFullError, FollowedChart, LiveFeed
from songline.projections.live_version import VersionedStores
from songline.projections.staleness import MaxStaleness, StalenessCheck, TooStaleError
from songline.projections.store import StoreUnavailableError
from songline.schemas.channels import CHARTS
from songline.schemas.decoding import convert, read_text
from songline.schemas.documents import GLOBAL, KINDS, WINDOWS, Chart, Kind, Window

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
RETRY_MS = 2000
"""Milliseconds until an EventSource reconnects."""
MAX_CHARTS = 32
SEVERAL_RULE = f"KIND:WINDOW:SCOPE, up to {MAX_CHARTS} with commas between: top:1h:global,trending:7d:region:DE"
NOTHING: Mapping[str, FollowedChart] = {}


class Followed(Struct, frozen=True, kw_only=True):
    """A chart that is followed by its name, KIND:WINDOW:SCOPE. `chart` is null until it is computed."""

    name: str
    chart: Chart | None


def routes(app: FastAPI) -> None:
    """Add the route. The app's state has `feed`, a LiveFeed."""

    @app.get(
        "/v1/live",
        summary="The live feed: rates, projections, uploads and charts",
        responses=openapi.live(400, 503),
        response_class=Response,
    )
    async def follow(
        request: Request,
        kind: Annotated[Kind | None, Query(description="With `window`: follow this chart too")] = None,
        window: Annotated[Window | None, Query(description="The time span of the chart")] = None,
        scope: Annotated[str, Query(description=charts.SCOPE_RULE)] = GLOBAL,
        several: Annotated[
            str | None, Query(alias="charts", max_length=4_000, description=f"Follow these charts: {SEVERAL_RULE}")
        ] = None,
        max_staleness: MaxStaleness = None,
    ) -> Response:
        """Server-sent events without end: about one `live` a second, one `chart` whenever the chart of `kind` and
        `window` changes, and one `followed` whenever a chart of `charts` changes. Each event is complete: a slow client
        skips outdated events only. With `maxStaleness` the stream ends once the charts are older."""
        followed = {} if several is None else named(several)
        if followed is None:
            return refused(400, "No such charts", (Fault("charts", shown(several), SEVERAL_RULE),))
        if (kind is None) != (window is None):
            return refused(400, "Half a chart", (Fault("kind", shown(kind), "both kind and window, or neither"),))
        known = charts.read_scope(scope)
        if known is None:
            return refused(400, "No such scope", (Fault("scope", shown(scope), charts.SCOPE_RULE),))
        single = None if kind is None or window is None else FollowedChart(kind, window, known)
        feed: LiveFeed = request.app.state.feed
        if feed.full:
            return answer(Problem("Too many watch", 503, "Come again later, or ask another process."), RETRY_SECONDS)
        check: StalenessCheck = request.app.state.staleness
        if max_staleness is not None:
            versions: VersionedStores = request.app.state.versions
            store = (await versions.live(CHARTS)).store
            check.check("charts", max_staleness, await charts.complete_through(store))
        return EventStream(stream(feed, single, followed, partial(check.check, "charts", max_staleness)))


def named(text: str) -> dict[str, FollowedChart] | None:
    """The charts that `text` names in the form of SEVERAL_RULE, by name; None for an invalid or too long list."""
    found: dict[str, FollowedChart] = {}
    for name in text.split(","):
        kind, _, rest = name.partition(":")
        window, _, scope = rest.partition(":")
        known = charts.read_scope(scope)
        if kind not in KINDS or window not in WINDOWS or known is None:
            return None
        found[name] = convert({"kind": kind, "window": window, "scope": known}, FollowedChart)
    return found if len(found) <= MAX_CHARTS else None


async def stream(
    feed: LiveFeed,
    single: FollowedChart | None,
    followed: Mapping[str, FollowedChart] = NOTHING,
    check: Callable[[datetime | None], None] = lambda through: None,
) -> AsyncIterator[bytes]:
    """The events for one watcher: `chart` for `single`, `followed` for the charts by name. The stream ends when `check`
    raises TooStaleError for the moment through which charts are complete, or the one that would be sent.

    Source: HTML Living Standard, section 9.2 (server-sent events).
    """
    yield format_sse_event(retry=RETRY_MS)
    number, sent = 0, dict[str, bytes]()
    wanted = ({} if single is None else {"": single}) | dict(followed)
    try:
        async with feed.watching():
            while True:
                number, latest = await feed.after(number)
                check(next((one.complete_through for one in latest.projections if one.name == "charts"), None))
                yield _event("live", msgspec.json.encode(latest))
                for name, one in wanted.items():
                    try:
                        chart = await feed.chart(one)
                    except StoreUnavailableError:
                        # The `live` event reports the failure. The client keeps its last chart.
                        continue
                    if chart is not None:
                        # It may be a round of writes behind the chart that the snapshot read, or of another version.
                        check(chart.complete_through)
                    now = msgspec.json.encode(Followed(name=name, chart=chart) if name else chart)
                    if now != sent.get(name):
                        sent[name] = now
                        yield _event("followed" if name else "chart", now)
    except FeedFullError:
        # Another watcher took the last place. The stream ends, and an EventSource reconnects.
        return
    except TooStaleError:
        # A client that connects again is answered 503, with the age.
        return


def _event(name: str, data: bytes) -> bytes:
    return format_sse_event(event=name, data_str=read_text(data))
