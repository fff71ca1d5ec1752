"""Asks every process whether it is ready, and the answers how far they are, again and again."""

import asyncio
import time
from collections.abc import Mapping

import httpx
from msgspec import Struct

from songline.audit.api_access import REQUEST_FAILURES
from songline.audit.health_check import HealthSample, PositionSample
from songline.audit.history import OperationHistory
from songline.cloud.concurrency import gather_or_cancel
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

EACH_S = 1.0
POSITIONS: Mapping[str, str] = {
    "trending": "/v1/charts/top/1h?limit=1",
    "library": "/v1/users/songline-audit/summary",
    "catalog": "/v1/songs?limit=1",
}
"""What shows how far a worker's projection is, as every reader sees it."""


class _Positioned(Struct):
    position: dict[str, int]


_answers = Decoder(_Positioned, "not-an-answer")


class HealthWatch:
    """`samples` and `positions` are all that was seen; `now` is the last sample of each process."""

    def __init__(
        self, urls: Mapping[str, str], api: httpx.AsyncClient, health: httpx.AsyncClient, history: OperationHistory
    ) -> None:
        self._urls, self._api, self._health, self._history = urls, api, health, history
        self.samples: list[HealthSample] = []
        self.positions: list[PositionSample] = []
        self.now: dict[str, HealthSample] = {}

    @property
    def is_all_ready(self) -> bool:
        """Whether each process said that it is ready when it was asked last."""
        return len(self.now) == len(self._urls) and all(one.is_ready for one in self.now.values())

    def unready(self) -> str:
        """Who is not ready, and why."""
        return "; ".join(f"{name}: {one.why}" for name, one in sorted(self.now.items()) if not one.is_ready)

    async def run(self) -> None:
        """Ask until it is cancelled."""
        while True:
            began_s = time.monotonic()
            await gather_or_cancel(self._ask(name, url) for name, url in self._urls.items())
            await gather_or_cancel(self._look(worker, path) for worker, path in POSITIONS.items())
            await asyncio.sleep(max(0.05, EACH_S - (time.monotonic() - began_s)))

    async def position(self, worker: str) -> Mapping[str, int]:
        """How far a worker's answers are; nothing while there is none."""
        try:
            return _answers.decode((await self._api.get(POSITIONS[worker])).content).position
        except (*REQUEST_FAILURES, PoisonError):
            return {}

    async def _ask(self, name: str, url: str) -> None:
        try:
            answer = await self._health.get(f"{url}/health/ready")
            is_answered, is_ready, why = True, answer.status_code == 200, answer.text[:300]
        except httpx.HTTPError as error:
            is_answered, is_ready, why = False, False, f"no answer ({type(error).__name__})"
        sample = HealthSample(name, time.time(), is_ready, "" if is_ready else why, is_answered)
        before = self.now.get(name)
        if before is None or before.is_ready != is_ready:
            self._history.record("health", "ready" if is_ready else "not ready", process=name, why=sample.why)
        self.now[name] = sample
        self.samples.append(sample)

    async def _look(self, worker: str, path: str) -> None:
        asked_s = time.time()
        found = await self.position(worker)
        if found:
            self.positions.append(PositionSample(worker, asked_s, found))
