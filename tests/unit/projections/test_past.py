"""Charts and libraries as of a moment, over HTTP: what the past is asked, and what comes of it."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from songline.projections.past import ListenerAsOf, LiveCharts, PastMissingError, PastMomentError, PastUnavailableError
from songline.schemas.documents import Chart
from songline.schemas.examples import CHART
from songline.schemas.library.action import UserAction, microseconds
from songline.schemas.library.fold import fold_actions
from tests.unit.projections.test_api import problem

MOMENT = datetime(2026, 11, 22, 14, 0, 0, 750_000, UTC)
SECOND = int(MOMENT.timestamp())
ACTION = UserAction("ana", "song-1", microseconds(MOMENT), 1, "listen", 2, 5, 40_000)
CHARTS, LIBRARIES = "/v1/charts/top/1h", ("/v1/users/ana/library", "/v1/users/ana/recent", "/v1/users/ana/summary")
PATHS = (CHARTS, *LIBRARIES)


class KnownPast:
    """A past that knows one chart and one library, or fails. `asked` has its questions."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._error = error

    async def chart(self, key: str, second: int, asker: str | None, live: LiveCharts) -> Chart:
        self._ask(key, second)
        return CHART

    async def library(self, user_id: str, second: int, asker: str | None) -> ListenerAsOf:
        self._ask(user_id, second)
        return ListenerAsOf(fold_actions([ACTION]), {"0": -1, "2": 5})

    def _ask(self, what: str, second: int) -> None:
        self.asked.append((what, second))
        if self._error is not None:
            raise self._error


def given(api: httpx.AsyncClient, past: KnownPast) -> KnownPast:
    api.app.state.past = past  # type: ignore[attr-defined]
    return past


async def test_a_chart_of_the_past_is_the_first_lines_of_what_was_folded(api: httpx.AsyncClient) -> None:
    past = given(api, KnownPast())
    params = {"asOf": "2026-11-22T14:00:00.750Z", "limit": "1", "scope": "region:DE"}
    response = await api.get(CHARTS, params=params)
    assert response.status_code == 200
    found = response.json()
    assert found["policy"] == CHART.policy
    assert len(found["entries"]) == 1
    assert past.asked == [("top:1h:region:DE", SECOND)], "cut to whole seconds"
    table = await api.get(CHARTS, params=params, headers={"Accept": "text/csv"})
    assert table.status_code == 200
    assert table.text.count("\n") == 2


async def test_a_summary_of_the_past_has_its_moment_and_position(api: httpx.AsyncClient) -> None:
    past = given(api, KnownPast())
    # Without an offset a moment is in UTC.
    response = await api.get(LIBRARIES[2], params={"asOf": "2026-11-22T14:00:00"})
    assert response.status_code == 200
    found = response.json()
    assert found["asOf"] == found["completeThrough"] == "2026-11-22T14:00:00Z"
    assert found["position"] == {"0": -1, "2": 5}
    assert (found["listens"], found["msPlayed"]) == (1, 40_000)
    assert past.asked == [("ana", SECOND)]


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_no_moment_of_the_past_is_refused(api: httpx.AsyncClient, path: str) -> None:
    past = given(api, KnownPast())
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for text, rule in (("yesterday", "RFC 3339"), ("2026-11-22", "RFC 3339"), (later, "a moment that is over")):
        body = await problem(api, path, 400, asOf=text)
        assert body["errors"][0]["field"] == "asOf"
        assert rule in body["errors"][0]["rule"]
    body = await problem(api, path, 400, asOf="2026-11-22T14:00:00Z", min_position="2:5")
    assert "min_position" in body["errors"][0]["rule"]
    assert not past.asked


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PastMomentError("a moment from 2026-11-23T00:00:00Z on, with which the history begins"), 400),
        (PastMissingError("this API lacks fastavro"), 501),
        (PastUnavailableError("9 moments are being folded"), 503),
    ],
)
async def test_why_there_is_no_answer_is_said(api: httpx.AsyncClient, path: str, error: Exception, status: int) -> None:
    given(api, KnownPast(error))
    body = await problem(api, path, status, asOf="2026-11-22T14:00:00Z")
    assert str(error) in body["detail"]


async def test_an_api_of_its_own_has_no_past(api: httpx.AsyncClient) -> None:
    body = await problem(api, CHARTS, 501, asOf="2026-11-22T14:00:00Z")
    assert "without an archive" in body["detail"]
