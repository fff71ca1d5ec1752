"""How old an answer is, and what a caller may allow."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.projections.hub_ends import HubEndsSample
from songline.projections.staleness import RETRY_MAX_S, StalenessCheck, TooStaleError, complete_through
from songline.schemas.durations import AGE_RULE
from songline.schemas.progress import Watermark
from tests.support.published_document import openapi_document
from tests.unit.projections.test_api import problem

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PATHS = (
    "/v1/charts/top/1h",
    "/v1/charts/top/1h/history",
    "/v1/songs",
    "/v1/songs/song-1",
    "/v1/songs/song-1/audio",
    "/v1/songs/song-1/history",
    "/v1/songs/song-1/plays",
    "/v1/users/ana/library",
    "/v1/users/ana/recent",
    "/v1/users/ana/summary",
    "/v1/live",
)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def read_to(position: int, through: float | None, created: float | None = None) -> Watermark:
    return Watermark(
        position=position,
        through=None if through is None else at(through),
        created_at=None if created is None else at(created),
    )


def ends(asked: float, created: float = -900, **partitions: int) -> HubEndsSample:
    return HubEndsSample(at(created), at(asked), {name.removeprefix("p"): end for name, end in partitions.items()})


@pytest.mark.parametrize(
    ("watermarks", "samples", "through"),
    [
        # Without the hub's word it is what the worker wrote.
        ({}, (), None),
        ({"0": read_to(7, 1), "1": read_to(3, 2)}, (), 1),
        ({"0": read_to(7, 1), "1": read_to(-1, None)}, (), None),
        # A partition that is read to its end is complete through the moment of the question.
        ({"0": read_to(7, 1), "1": read_to(3, 2)}, (ends(9, p0=7, p1=3),), 9),
        ({"0": read_to(7, 1), "1": read_to(3, 2)}, (ends(9, p0=7, p1=4),), 2),
        ({"0": read_to(7, 1), "1": read_to(3, 2)}, (ends(9, p0=8, p1=4),), 1),
        # It has reached the end of an earlier question.
        ({"0": read_to(7, 1)}, (ends(9, p0=8), ends(8, p0=7), ends(7, p0=6)), 8),
        # The worker wrote it later than the question was asked.
        ({"0": read_to(7, 10)}, (ends(9, p0=7),), 10),
        # A partition that the worker has not written about: empty, or not.
        ({"0": read_to(7, 1)}, (ends(9, p0=7, p1=-1),), 9),
        ({"0": read_to(7, 1)}, (ends(9, p0=7, p1=0),), None),
        ({"0": read_to(-1, None)}, (ends(9, p0=-1),), 9),
        ({"0": read_to(-1, None)}, (ends(9, p0=0),), None),
        ({}, (ends(9, p0=-1, p1=-1),), 9),
        # Positions of a hub that was deleted say nothing about the one that is there now.
        ({"0": read_to(7, 1)}, (ends(9, created=2, p0=7),), 1),
        ({"0": read_to(7, 3, created=-1)}, (ends(9, created=2, p0=7),), 3),
        ({"0": read_to(7, 3, created=2)}, (ends(9, created=2, p0=7),), 9),
    ],
)
def test_an_answer_is_complete_through_what_all_partitions_are(
    watermarks: dict[str, Watermark], samples: Sequence[HubEndsSample], through: float | None
) -> None:
    assert complete_through(watermarks, samples) == (None if through is None else at(through))


@given(
    logs=st.lists(st.lists(st.integers(0, 20), max_size=12).map(sorted), min_size=1, max_size=3),
    reads=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.booleans()), max_size=12),
    asked=st.lists(st.integers(0, 20), max_size=5),
    now=st.integers(0, 20),
)
def test_nothing_that_came_before_that_moment_is_missing(
    logs: list[list[int]], reads: list[tuple[int, int, bool]], asked: list[int], now: int
) -> None:
    """`logs` has the seconds at which events came to the hub's partitions. A worker reads at moments of `reads`; it
    writes the last event's time, or that it met the end."""
    applied: dict[int, tuple[int, int | None]] = dict.fromkeys(range(len(logs)), (0, None))
    for partition, second, meets_end in sorted(reads, key=lambda read: read[1]):
        if partition < len(logs) and second <= now:
            there = [came for came in logs[partition] if came <= second]
            written = second - 1 if meets_end else there[-1] - 1 if there else None
            applied[partition] = (len(there), written)
    watermarks = {str(one): read_to(count - 1, written) for one, (count, written) in applied.items()}
    samples = [
        HubEndsSample(
            at(-900), at(second), {str(one): sum(came < second for came in log) - 1 for one, log in enumerate(logs)}
        )
        for second in sorted((one for one in asked if one <= now), reverse=True)
    ]
    through = complete_through(watermarks, samples)
    if through is not None:
        missing = [log[applied[one][0] :] for one, log in enumerate(logs)]
        assert all(at(came) >= through for of_one in missing for came in of_one)


@pytest.mark.parametrize(
    ("allowed", "through", "age_s", "retry_s"),
    [
        ("5s", -5.1, 5.1, 1),
        ("5s", -12.25, 12.2, 8),
        ("2m", -3600, 3600, RETRY_MAX_S),
        ("5s", None, None, 1),
    ],
)
def test_what_is_older_than_its_caller_allows_is_refused_with_its_age(
    allowed: str, through: float | None, age_s: float | None, retry_s: int
) -> None:
    check = StalenessCheck(None, lambda: NOON)
    with pytest.raises(TooStaleError) as refused:
        check.check("libraries", allowed, None if through is None else at(through))
    assert (refused.value.age_s, refused.value.retry_s) == (age_s, retry_s)
    assert ("not known" if age_s is None else f"{age_s:g} s") in str(refused.value)
    assert f"expected {allowed} at most" in str(refused.value)


@pytest.mark.parametrize(
    ("allowed", "through", "until"), [("5s", -5, None), ("1d", -86_400, None), ("5s", 60, None), ("5s", -90, -90)]
)
def test_what_is_as_young_as_its_caller_allows_is_answered(allowed: str, through: float, until: float | None) -> None:
    check = StalenessCheck(None, lambda: NOON)
    check.check("charts", allowed, at(through), None if until is None else at(until))
    check.check("charts", None, None)


@pytest.mark.parametrize("path", PATHS)
async def test_every_read_of_a_projection_takes_an_age(api: httpx.AsyncClient, path: str) -> None:
    """The store can't be reached, which is found out after the parameters are read."""
    assert (await problem(api, path, 503, maxStaleness="5s"))["title"] == "Store unavailable"


@pytest.mark.parametrize("text", ["", "5", "s", "0s", "00m", "05s", "5 s", "5S", "-5s", "1.5s", "1e3s", "PT5S", "5s\n"])
async def test_what_is_no_age_is_refused_with_the_rule(api: httpx.AsyncClient, text: str) -> None:
    for path in PATHS:
        (fault,) = (await problem(api, path, 400, maxStaleness=text))["errors"]
        assert (fault["field"], fault["rule"]) == ("maxStaleness", AGE_RULE)
        assert text.strip() in fault["value"]


STORED = (
    "/v1/ingestions",
    "/v1/ingestions/i-1",
    "/v1/ingestions/i-1/events",
    "/v1/parked",
    "/v1/users/ana/imports",
    "/v1/imports/i-1",
    "/v1/matches",
    "/v1/matches/name:1",
)


@pytest.mark.parametrize("path", STORED)
async def test_a_read_of_what_is_stored_keeps_any_age(api: httpx.AsyncClient, path: str) -> None:
    assert (await problem(api, path, 503, maxStaleness="5s"))["title"] == "Store unavailable"
    (fault,) = (await problem(api, path, 400, maxStaleness="5"))["errors"]
    assert (fault["field"], fault["rule"]) == ("maxStaleness", AGE_RULE)


def test_every_read_of_the_api_takes_an_age() -> None:
    document = openapi_document()
    for path, operations in document["paths"].items():
        if path.startswith("/v1/") and not path.startswith("/v1/session") and "get" in operations:
            names = [one["name"] for one in operations["get"].get("parameters", [])]
            assert "maxStaleness" in names, path


@pytest.mark.parametrize("path", ["/v1/charts/top/1h", "/v1/users/ana/library", "/v1/users/ana/summary"])
async def test_the_past_grows_no_older(api: httpx.AsyncClient, path: str) -> None:
    (fault,) = (await problem(api, path, 400, asOf="2026-11-22T14:00:00Z", maxStaleness="5s"))["errors"]
    assert fault["field"] == "asOf"
    assert "no `maxStaleness` beside it" in fault["rule"]
