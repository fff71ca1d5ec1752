"""Charts to Cosmos DB: at most so many a second, the global ones first, a snapshot of each every hour, and how fresh
they all are, those included in which nothing changes."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError
from msgspec import Struct, structs

from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.policy import moment
from songline.schemas.decoding import convert
from songline.schemas.documents import CURRENT, GLOBAL, Chart, snapshot_id
from songline.schemas.errors import PoisonError
from songline.schemas.progress import PROGRESS, Freshness

log = logging.getLogger(__name__)

IN_FLIGHT = 8
"""Charts written at a time: as many as there are global ones, which come first."""

_NEWEST_BEFORE = "SELECT TOP 1 * FROM c WHERE c.id < @hour ORDER BY c.id DESC"


class PreviousRanks(Struct, frozen=True):
    """The moment and the ranks, by song, of the newest snapshot before an hour; None and nothing without one."""

    hour: str
    as_of: datetime | None
    ranks: dict[str, int]


class DueChart(Struct):
    """A chart that waits to be written, since a call of `write`. What is stored of it is `sound` up to then; None: to
    this moment, since nothing but the hour has changed."""

    call: int
    sound: Freshness | None


UNKNOWN = Freshness(as_of=moment(0), complete_through=None, position={})
"""What is said of charts before any was written."""


class ChartWriter:
    """Writes the charts of a merge, `writes` a call at most.

    `trouble` is what the last write met, None once one is done; `refused` are charts that Cosmos DB does not take,
    each with its reason, until they are taken.
    """

    def __init__(self, container: ContainerProxy, writes: int) -> None:
        self._container = container
        self._writes = writes
        self._before: dict[str, PreviousRanks] = {}
        self._snapshots: dict[str, str] = {}
        self.trouble: AzureError | None = None
        self.refused: dict[str, AzureError] = {}
        self.forget()

    def forget(self) -> None:
        """Another worker may write from now on."""
        self._due: dict[str, DueChart] = {}
        self._reached = UNKNOWN
        self._hour = ""
        self._call = 0
        self._before.clear()
        self._snapshots.clear()
        self.trouble = None
        self.refused.clear()

    async def write(self, merge: Merge) -> None:
        """Write what has changed, and how fresh everything is by then.

        What can't be written stays due, and is written as it is by then.
        """
        self._call += 1
        fresh = merge.freshness()
        if any(fresh.position.get(partition, -1) < position for partition, position in self._reached.position.items()):
            self._claim_no_more_than(fresh)
        self._note_changes(merge, snapshot_id(fresh.as_of))
        self._reached = fresh
        chosen = sorted(self._due, key=lambda key: (not _is_global(key), self._due[key].call, key))[: self._writes]
        for start in range(0, len(chosen), IN_FLIGHT):
            if not await self._some(merge, chosen[start : start + IN_FLIGHT]):
                return
        await self._tell(min((due.sound for due in self._due.values() if due.sound), key=_as_of, default=fresh))

    def _note_changes(self, merge: Merge, hour: str) -> None:
        for key in merge.changed:
            due = self._due.setdefault(key, DueChart(self._call, self._reached))
            due.sound = due.sound or self._reached
        merge.changed.clear()
        if hour != self._hour:
            for key in sorted(merge.keys()):
                self._due.setdefault(key, DueChart(self._call, None))
            self._hour = hour

    def _claim_no_more_than(self, fresh: Freshness) -> None:
        """Positions fell: they were of another hub, or a shard begins again from what it had saved."""
        self._reached = structs.replace(self._reached, position=fresh.position, complete_through=None)
        for due in self._due.values():
            if due.sound is not None:
                due.sound = structs.replace(due.sound, position=fresh.position, complete_through=None)

    async def _tell(self, fresh: Freshness) -> None:
        """Say how fresh all charts are at least: where nothing changes, none is written that would say it."""
        if fresh is UNKNOWN:
            return
        try:
            document = {**msgspec.to_builtins(fresh), "id": PROGRESS, "chart": PROGRESS}
            await self._container.upsert_item(document, no_response=True)
        except AzureError as error:
            self._note(error, "how fresh the charts are was not written")
        else:
            self.trouble = None

    def _note(self, error: AzureError, what: str) -> None:
        if self.trouble is None:
            log.warning("%s, trying again: %s", what, last_line(error))
        self.trouble = error

    async def _some(self, merge: Merge, keys: list[str]) -> bool:
        """Write a few charts at once; whether it is worth while to go on."""
        failures = await self._all({key: self._look_back(key, self._hour) for key in keys})
        if not merge.ready:
            return False
        # All at once, while nothing can move: the charts of a moment fit together.
        charts = {
            key: merge.chart(key, before.ranks, before.as_of)
            for key in keys
            if (before := self._before.get(key)) is not None
        }
        failures += await self._all({key: self._put(key, chart) for key, chart in charts.items()})
        if failures:
            self._note(failures[0], f"{len(failures)} of {len(keys)} charts not written")
        return not failures

    async def _all(self, jobs: Mapping[str, Coroutine[Any, Any, None]]) -> list[AzureError]:
        """Run the jobs of charts together; what Cosmos or the way to it made of those that failed.

        A chart that it does not take costs no other: it is left out until it changes.
        """
        failures = []

        async def one(key: str, job: Coroutine[Any, Any, None]) -> None:
            try:
                await job
            except AzureError as error:
                if fault_of(error) is not ServiceFault.ITEM_REFUSED:
                    failures.append(error)
                    return
                if key not in self.refused:
                    log.error("chart %s is refused: %s", key, last_line(error))
                self.refused[key] = error
                self._due.pop(key, None)

        await asyncio.gather(*[one(key, job) for key, job in jobs.items()])
        return failures

    async def _put(self, key: str, chart: Chart) -> None:
        document = {**msgspec.to_builtins(chart), "chart": key}
        hour = snapshot_id(chart.as_of)
        await self._container.upsert_item({**document, "id": CURRENT}, no_response=True)
        if self._snapshots.get(key) != hour:
            await self._snapshot({**document, "id": hour})
        self._snapshots[key] = hour
        self._due.pop(key, None)
        self.refused.pop(key, None)

    async def _snapshot(self, document: dict[str, Any]) -> None:
        """Keep the first chart of an hour; an earlier owner may have done it."""
        with suppress(CosmosResourceExistsError):
            await self._container.create_item(document, no_response=True)

    async def _look_back(self, key: str, hour: str) -> None:
        """Find the newest snapshot of an earlier hour."""
        known = self._before.get(key)
        if known is not None and known.hour == hour:
            return
        before = PreviousRanks(hour, None, {})
        parameters: list[dict[str, object]] = [{"name": "@hour", "value": hour}]
        async for document in self._container.query_items(_NEWEST_BEFORE, parameters=parameters, partition_key=key):
            try:
                snapshot = convert(dict(document), Chart)
            except PoisonError as why:
                log.error("chart %s: passed over the snapshot %s, none of ours: %s", key, document.get("id"), why)
                continue
            before = PreviousRanks(hour, snapshot.as_of, {entry.song_id: entry.rank for entry in snapshot.entries})
        self._before[key] = before


def _as_of(fresh: Freshness) -> datetime:
    return fresh.as_of


def _is_global(key: str) -> bool:
    return key.endswith(f":{GLOBAL}")
