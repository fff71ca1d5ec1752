"""The layers between the server and the routes, put together in one place."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import Response

from songline.api import guard, identity_health
from songline.api.caller_table import CallerTable
from songline.api.guard_settings import GuardSettings
from songline.api.limit_settings import LimitSettings
from songline.api.limits import CallerLimits
from songline.api.operation_matcher import OperationMatcher
from songline.api.operations import OPERATIONS
from songline.api.refusal_counts import RefusalCounter, RefusalCounts
from songline.api.refusals import refusal
from songline.api.refused_limits import RefusedLimits
from songline.api.request_account import RequestAccounts
from songline.api.session import composition as session
from songline.api.session.settings import PageSettings
from songline.players.listenbrainz.answer_layer import ListenBrainzAnswers
from songline.players.opensubsonic.server import PATH as OPENSUBSONIC
from songline.players.player_guard import PlayerGuard
from songline.producers.http.direct_events import DirectEvents
from songline.projections.http.fault_answers import FaultAnswers
from songline.projections.http.responses import plain
from songline.schemas.identity_health import PATH


def install(
    app: FastAPI,
    guarding: GuardSettings | None,
    page: PageSettings | None,
    limiting: LimitSettings,
    takes_events: bool,
) -> None:
    """Put the layers before the routes of `app`, which has all of them by now.

    From the outermost on: what counts refusals; the form of ListenBrainz' answers; the limits of what is refused;
    hosts, origins and methods (`songline.projections.http.front`, installed already); the page's session, which brings
    the guard a token; the guard; that of players; the limits of callers; and the way of events around the router.
    Errors that nobody foresaw are answered behind all of these, so that each completes that answer too; those of the
    layers from the session on, before it.
    """
    counts = RefusalCounts(datetime.now(UTC))
    app.add_api_route("/health/refusals", _refusals(counts), methods=["GET"], include_in_schema=False)
    app.add_api_route(PATH, identity_health.answering(guarding), methods=["GET"], include_in_schema=False)
    accounts = RequestAccounts(limiting, CallerTable(), is_open=guarding is None)
    app.user_middleware.insert(0, Middleware(RefusedLimits, accounts=accounts))
    app.user_middleware.insert(0, Middleware(ListenBrainzAnswers))
    # All that is refused passes through it.
    app.user_middleware.insert(0, Middleware(RefusalCounter, counts=counts))
    layers: list[Middleware] = session.layers(app, page, None if guarding is None else guarding.open)
    if guarding is not None:
        layers.append(guard.layer(app, guarding))
    layers.append(Middleware(PlayerGuard, matcher=OperationMatcher(app.routes, OPERATIONS)))
    # Players of OpenSubsonic show who they are in the query or a form.
    late = (f"{OPENSUBSONIC}/",)
    layers.append(Middleware(CallerLimits, accounts=accounts, uploaded=CallerTable(), late=late))
    layers.append(Middleware(FaultAnswers))
    if takes_events:
        layers.append(Middleware(DirectEvents, refusal=refusal))
    app.user_middleware += layers


def _refusals(counts: RefusalCounts) -> Callable[[], Awaitable[Response]]:
    async def refusals() -> Response:
        return plain(counts.answer())

    return refusals
