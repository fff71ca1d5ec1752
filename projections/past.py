"""Moments of the past: what the routes of charts and libraries ask, and why it may have no answer.

A moment is folded from the archive, which this package can't read: `songline.api` gives the app what can.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, NoReturn, Protocol

from fastapi import FastAPI, Query, Request
from msgspec import Struct
from starlette.responses import Response

from songline.projections.http.moments import Moment
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import shown
from songline.schemas.documents import Chart
from songline.schemas.library.fold import FoldedLibrary

RETRY_SECONDS = 5

AsOf = Annotated[
    Moment | None,
    Query(
        alias="asOf",
        description="Of all that the hub had taken by then, cut to whole seconds: folded from the archive, which takes "
        "seconds to minutes. Without it, of now",
        examples=["2026-11-22T14:00:00Z"],
    ),
]


class PastMomentError(Exception):
    """The history has no such moment; the message is a rule that says which moments it has."""


class PastMissingError(Exception):
    """This API can't read the archive; the message says what it lacks."""


class TooManyMomentsError(Exception):
    """The caller waits for as many moments as one may. The message says for how many."""


class PastUnavailableError(Exception):
    """The moment can't be folded now; the message says why. The caller may ask again."""


class ListenerAsOf(Struct, frozen=True):
    """A listener's library as of a moment, and by partition the position of the last event that the hub had then."""

    library: FoldedLibrary
    position: dict[str, int]


LiveCharts = Callable[[], Awaitable[int]]
"""Which version of the charts is live: of a chart of the past, the rules are its. Raises StoreUnavailableError."""


class PastReader(Protocol):
    """Moments of the past, for a caller of the name `asker`; None for one who may have all there are.

    Both raise PastMomentError, PastMissingError, TooManyMomentsError and PastUnavailableError.
    """

    async def chart(self, key: str, second: int, asker: str | None, live: LiveCharts) -> Chart:
        """The chart of a key such as `top:1h:global`, with all its entries, as of a Unix second. Raises what `live`
        raises as well."""

    async def library(self, user_id: str, second: int, asker: str | None) -> ListenerAsOf:
        """A listener's library as of a Unix second."""


class NoPast:
    """The PastReader of an app that has none."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def chart(self, key: str, second: int, asker: str | None, live: LiveCharts) -> NoReturn:
        raise PastMissingError(self._why)

    async def library(self, user_id: str, second: int, asker: str | None) -> NoReturn:
        raise PastMissingError(self._why)


def second_of(moment: datetime, now: datetime) -> int:
    """The Unix second that a moment is cut to. Raises PastMomentError for one that is still to come."""
    if moment > now:
        raise PastMomentError(f"a moment that is over, by {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return int(moment.timestamp() // 1)


def only_one(min_position: str | None, max_staleness: str | None) -> None:
    """Raise PastMomentError where a position or an age is asked for beside a moment: of the past there is nothing to
    wait for, and it grows no older."""
    if min_position is not None:
        raise PastMomentError("no `min_position` beside it: of the past there is nothing to wait for")
    if max_staleness is not None:
        raise PastMomentError("no `maxStaleness` beside it: the past grows no older")


def install(app: FastAPI) -> None:
    """Answer the errors of moments as problems, and have no past until `app.state.past` is set."""
    app.state.past = NoPast("this API was started without an archive")

    @app.exception_handler(PastMomentError)
    async def moment(request: Request, error: PastMomentError) -> Response:
        return refused(400, "No such moment", (Fault("asOf", shown(request.query_params["asOf"]), str(error)),))

    @app.exception_handler(PastMissingError)
    async def missing(request: Request, error: PastMissingError) -> Response:
        return answer(Problem("No archive here", 501, f"asOf: {error}."))

    @app.exception_handler(TooManyMomentsError)
    async def too_many(request: Request, error: TooManyMomentsError) -> Response:
        return answer(Problem("Too many moments", 429, f"asOf: {error}."), RETRY_SECONDS)

    @app.exception_handler(PastUnavailableError)
    async def unavailable(request: Request, error: PastUnavailableError) -> Response:
        return answer(Problem("Not now", 503, f"asOf: {error}."), RETRY_SECONDS)
