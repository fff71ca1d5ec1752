"""Answers that are no older than their caller allows: `maxStaleness`.

The age of an answer is the time since the moment through which it is complete: every event that the hub had then is in
it. What workers wrote about that may be some seconds old while they have nothing to do. So where it is too old the hub
is asked for its ends: a partition that is applied to its end is complete through the moment of that question.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from songline.projections.freshness import earliest
from songline.projections.http.problems import Problem, answer
from songline.projections.hub_ends import HubEndsReader, HubEndsSample
from songline.schemas.durations import AGE_PATTERN, AGE_RULE, checked_age, read_duration
from songline.schemas.progress import Watermark

RETRY_MAX_S = 30

WORKERS = {"charts": "trending", "plays": "trending", "songs": "catalog", "libraries": "library"}
"""The worker that writes a view, by the view's name in messages."""


MaxStaleness = Annotated[
    str | None,
    Query(
        alias="maxStaleness",
        description="Answer 503 rather than with what is older: every event that the hub had so long ago is in the "
        f"answer. {AGE_RULE}",
        examples=["5s"],
        json_schema_extra={"pattern": AGE_PATTERN},
    ),
    BeforeValidator(checked_age),
]
"""How old an answer may be; `read_duration` reads it."""


async def _read_now(max_staleness: MaxStaleness = None) -> None:
    """Nothing more is to be checked: what is answered is as old as the answer."""


READ_NOW = Depends(_read_now)
"""A dependency of reads that are of no projection: they have what is stored at the moment, or what happens in it."""


class TooStaleError(Exception):
    """An answer would be older than its caller allows. `age_s` is its age in seconds, None where it is unknown.

    The caller asks again after `retry_s` seconds, or allows more.
    """

    def __init__(self, view: str, allowed: str, age_s: float | None, retry_s: int) -> None:
        worker = WORKERS[view]
        seen = (
            f"how far they are is not known, for the {worker} worker has not said it"
            if age_s is None
            else f"they lack what the hub got in the last {age_s:g} s"
        )
        super().__init__(
            f"maxStaleness: {view}: saw that {seen}, expected {allowed} at most. Ask again, or allow more; "
            f"`songline doctor` says what the {worker} worker waits for."
        )
        self.age_s, self.retry_s = age_s, retry_s


class StalenessCheck:
    """Holds answers to what callers allow. `hub` says where the hub ends, None where it can't be asked; `now` is
    the wall clock's."""

    def __init__(self, hub: HubEndsReader | None, now: Callable[[], datetime]) -> None:
        self._hub, self._now = hub, now

    async def through(self, view: str, allowed: str | None, watermarks: Mapping[str, Watermark]) -> datetime | None:
        """The moment through which an answer with these watermarks is complete, None while that is unknown.

        Raises TooStaleError if `allowed` is given and the moment is unknown or longer ago.
        """
        through = complete_through(watermarks, ())
        if allowed is None:
            return through
        if self._is_older(through, allowed) and self._hub is not None:
            through = complete_through(watermarks, await self._hub.read())
        self.check(view, allowed, through)
        return through

    def check(self, view: str, allowed: str | None, through: datetime | None, until: datetime | None = None) -> None:
        """Raise TooStaleError if `allowed` is given and an answer that is complete through a moment is older, or of
        unknown age. What came after `until` is not in the answer, and can't be missing."""
        if allowed is None or not self._is_older(through, allowed):
            return
        if through is None:
            raise TooStaleError(view, allowed, None, 1)
        if until is not None and through >= until:
            return
        age_s = (self._now() - through).total_seconds()
        over_s = math.ceil(age_s - read_duration(allowed).total_seconds())
        raise TooStaleError(view, allowed, round(age_s, 1), min(max(over_s, 1), RETRY_MAX_S))

    def _is_older(self, through: datetime | None, allowed: str) -> bool:
        return through is None or self._now() - through > read_duration(allowed)


def complete_through(watermarks: Mapping[str, Watermark], samples: Sequence[HubEndsSample]) -> datetime | None:
    """The moment through which all partitions are applied, None while that is unknown. `samples` of the hub's ends,
    newest first, tell a partition that is applied to its end from one that is behind."""
    known = {partition for sample in samples[:1] for partition in sample.ends}
    return earliest(_through(partition, watermarks.get(partition), samples) for partition in {*watermarks, *known})


def _through(partition: str, watermark: Watermark | None, samples: Sequence[HubEndsSample]) -> datetime | None:
    through = None if watermark is None else watermark.through
    for sample in samples:
        end = sample.ends.get(partition)
        if end is None or not _is_of(watermark, sample, end):
            continue
        position = -1 if watermark is None else watermark.position
        if position >= end:
            return sample.asked_at if through is None else max(through, sample.asked_at)
    return through


def _is_of(watermark: Watermark | None, sample: HubEndsSample, end: int) -> bool:
    """Whether a watermark is of the hub that was asked, and not of one of that name that was deleted before."""
    if watermark is None or watermark.through is None:
        # Nothing is applied; of an empty partition nothing is missing.
        return end < 0
    return watermark.created_at in (None, sample.created_at) and watermark.through >= sample.created_at


def install(app: FastAPI) -> None:
    """Answer TooStaleError with 503."""

    @app.exception_handler(TooStaleError)
    async def too_stale(request: Request, error: TooStaleError) -> Response:
        return answer(Problem("Too stale", 503, str(error), age=error.age_s), error.retry_s)
