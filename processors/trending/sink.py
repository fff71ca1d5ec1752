"""Charts to Cosmos DB: at most so many a second, the global ones first, and a snapshot of each every hour."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError
from msgspec import Struct

from processors.trending.merge import Merge
from processors.trending.policy import moment
from schemas.documents import CURRENT, GLOBAL, Chart, snapshot_id

log = logging.getLogger(__name__)

IN_FLIGHT = 8
"""Charts written at a time: as many as there are global ones, which come first."""
GLOBAL_REFRESH = 15.0
"""Seconds after which a global chart is written again though nothing in it changed, so that its freshness is told."""

_NEWEST_BEFORE = "SELECT TOP 1 * FROM c WHERE c.id < @hour ORDER BY c.id DESC"


class Before(Struct, frozen=True):
    """The moment and the ranks, by song, of the newest snapshot before an hour; None and nothing without one."""

    hour: str
    as_of: datetime | None
    ranks: dict[str, int]


class Sink:
    """Writes the charts of a merge; `writes` a call at most, `refresh` as GLOBAL_REFRESH for the charts of scopes."""

    def __init__(self, container: ContainerProxy, writes: int, refresh: float) -> None:
        self._container = container
        self._writes = writes
        self._refresh = refresh
        self._due: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._before: dict[str, Before] = {}
        self._snapshots: dict[str, str] = {}

    def forget(self) -> None:
        """Another worker may write from now on."""
        self._due.clear()
        self._written.clear()
        self._before.clear()
        self._snapshots.clear()

    async def write(self, merge: Merge, now: float) -> None:
        """Write what has changed or has to be told anew; `now` in seconds of any steady clock.

        What can't be written stays due, and is written as it is by then.
        """
        for key in merge.changed:
            self._due.setdefault(key, now)
        merge.changed.clear()
        for key, at in self._written.items():
            if now - at >= (GLOBAL_REFRESH if _is_global(key) else self._refresh):
                self._due.setdefault(key, now)
        chosen = sorted(self._due, key=lambda key: (not _is_global(key), self._due[key], key))[: self._writes]
        for start in range(0, len(chosen), IN_FLIGHT):
            if not await self._some(merge, chosen[start : start + IN_FLIGHT], now):
                return

    async def _some(self, merge: Merge, keys: list[str], now: float) -> bool:
        """Write a few charts at once; whether it is worth while to go on."""
        failures = await self._all([self._look_back(key, hour_of(merge)) for key in keys])
        if not merge.ready:
            return False
        # All at once, while nothing can move: the charts of a moment fit together.
        charts = {
            key: merge.chart(key, before.ranks, before.as_of)
            for key in keys
            if (before := self._before.get(key)) is not None
        }
        for key in charts:
            self._due.pop(key, None)
        failures += await self._all([self._put(key, chart, now) for key, chart in charts.items()])
        if failures:
            log.warning("%d of %d charts not written, trying again: %s", len(failures), len(keys), failures[0])
        return not failures

    async def _all(self, jobs: list[Coroutine[Any, Any, None]]) -> list[AzureError]:
        """Run the jobs together; what Cosmos or the way to it made of those that failed."""
        failures = []

        async def one(job: Coroutine[Any, Any, None]) -> None:
            try:
                await job
            except AzureError as error:
                failures.append(error)

        await asyncio.gather(*map(one, jobs))
        return failures

    async def _put(self, key: str, chart: Chart, now: float) -> None:
        document = {**msgspec.to_builtins(chart), "chart": key}
        hour = snapshot_id(chart.as_of)
        try:
            await self._container.upsert_item({**document, "id": CURRENT}, no_response=True)
            if self._snapshots.get(key) != hour:
                await self._snapshot({**document, "id": hour})
        except AzureError:
            self._due.setdefault(key, now)
            raise
        self._written[key] = now
        self._snapshots[key] = hour

    async def _snapshot(self, document: dict[str, Any]) -> None:
        """Keep the first chart of an hour; an earlier owner may have done it."""
        with suppress(CosmosResourceExistsError):
            await self._container.create_item(document, no_response=True)

    async def _look_back(self, key: str, hour: str) -> None:
        """Find the newest snapshot of an earlier hour."""
        known = self._before.get(key)
        if known is not None and known.hour == hour:
            return
        before = Before(hour, None, {})
        parameters: list[dict[str, object]] = [{"name": "@hour", "value": hour}]
        async for document in self._container.query_items(_NEWEST_BEFORE, parameters=parameters, partition_key=key):
            snapshot = msgspec.convert(dict(document), Chart)
            before = Before(hour, snapshot.as_of, {entry.song_id: entry.rank for entry in snapshot.entries})
        self._before[key] = before


def hour_of(merge: Merge) -> str:
    return snapshot_id(moment(merge.as_of_ms))


def _is_global(key: str) -> bool:
    return key.endswith(f":{GLOBAL}")
