"""Charts to Cosmos DB: at most so many a call, the global ones first up to half of them, with a snapshot of each every
hour, and how fresh all charts are, also those in which nothing changes."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError
from msgspec import Struct, structs

from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.merge.current_charts import CurrentCharts
from songline.processors.trending.merge.snapshot_writer import SnapshotWriter
from songline.processors.trending.merge.state import Merge
from songline.schemas.decoding import convert
from songline.schemas.documents import GLOBAL, Chart, snapshot_id
from songline.schemas.errors import PoisonError
from songline.schemas.moments import moment_at
from songline.schemas.progress import PROGRESS, ChartsFreshness, Freshness

log = logging.getLogger(__name__)

IN_FLIGHT = 8
"""Charts written at a time: as many as there are global ones, which come first."""

SCOPED = "region or genre"
"""Stands for all scopes but GLOBAL: they are of the same reports."""

_NEWEST_BEFORE = "SELECT TOP 1 * FROM c WHERE c.id < @hour ORDER BY c.id DESC"


class PreviousRanks(Struct, frozen=True):
    """The moment and the ranks, by song id, of the newest snapshot before an hour; None and nothing without one."""

    hour: str
    as_of: datetime | None
    ranks: dict[str, int]


class DueChart(Struct):
    """A chart that waits to be written since a call of `write`. The stored chart is as fresh as `stored`; None: it is
    fresh, since nothing but the hour has changed."""

    call: int
    stored: Freshness | None


UNKNOWN = Freshness(as_of=moment_at(0), complete_through=None, position={})
"""The freshness of charts before any was written."""


class ChartWriter:
    """Writes the charts of a merge, `writes()` a call at most; of the charts of regions and genres that wait, no more
    than `scoped_writes` returns for their number. The first chart of an hour is kept as its snapshot until
    `snapshots` replaces it by that of the hour's first moment, `snapshot_writes()` a call at most.

    `last_error` is the error of the last write, None once one is done. `refused` has the error of each chart that
    Cosmos DB refuses, until the chart is written.
    """

    def __init__(
        self,
        container: ContainerProxy,
        writes: Callable[[], int],
        snapshot_writes: Callable[[], int] | None = None,
        scoped_writes: Callable[[int], int] = lambda waiting: waiting,
    ) -> None:
        self._container = container
        self._writes = writes
        self._scoped_writes = scoped_writes
        self._current = CurrentCharts(container)
        self.snapshots = SnapshotWriter(container, snapshot_writes or writes)
        self._previous: dict[str, PreviousRanks] = {}
        self._snapshots: dict[str, str] = {}
        self.last_error: AzureError | None = None
        self.refused: dict[str, AzureError] = {}
        self.forget()

    def forget(self) -> None:
        """Forget everything: another worker may write from now on."""
        self._due: dict[str, DueChart] = {}
        self._fresh = dict.fromkeys((GLOBAL, SCOPED), UNKNOWN)
        self._written: ChartsFreshness | None = None
        self._hour = ""
        self._calls = 0
        self._previous.clear()
        self._snapshots.clear()
        self.snapshots.forget()
        self._current.forget()
        self.last_error = None
        self.refused.clear()

    async def write(self, merge: Merge) -> None:
        """Write what has changed, and how fresh all charts are then.

        What can't be written stays due; a later call writes it as it is then.
        """
        self._calls += 1
        fresh = {scope: merge.freshness(scope) for scope in (GLOBAL, SCOPED)}
        for scope, now in fresh.items():
            if _falls(self._fresh[scope].position, now.position):
                self._lower_freshness(scope, now)
        self._collect_due(merge, snapshot_id(fresh[GLOBAL].as_of))
        self._fresh = fresh
        chosen = self._chosen(self._writes())
        for start in range(0, len(chosen), IN_FLIGHT):
            if not await self._write_some(merge, chosen[start : start + IN_FLIGHT]):
                return
        stored = [due.stored for due in self._due.values() if due.stored is not None]
        await self._write_freshness(min([*stored, *fresh.values()], key=_as_of))

    def _chosen(self, writes: int) -> list[str]:
        """Keys of the charts to write now: the global ones first, which leave half of the writes to others that wait.
        With one write it is the chart that waits longest."""
        if writes == 1:
            return sorted(self._due, key=lambda key: (self._due[key].call, not _is_global(key), key))[:1]
        due = sorted(self._due, key=lambda key: (self._due[key].call, key))
        of_world, others = [key for key in due if _is_global(key)], [key for key in due if not _is_global(key)]
        others = others[: self._scoped_writes(len(others))]
        chosen = of_world[: writes - min(len(others), writes // 2)]
        return chosen + others[: writes - len(chosen)]

    def _collect_due(self, merge: Merge, hour: str) -> None:
        for key in merge.changed:
            before = self._fresh[_scope(key)]
            due = self._due.setdefault(key, DueChart(self._calls, before))
            due.stored = due.stored or before
        merge.changed.clear()
        if hour != self._hour:
            for key in sorted(merge.keys()):
                self._due.setdefault(key, DueChart(self._calls, None))
            self._hour = hour

    def _lower_freshness(self, scope: str, fresh: Freshness) -> None:
        """Positions fell, since they were of another hub, or a shard begins again from what it had saved."""
        before = self._fresh[scope]
        self._fresh[scope] = structs.replace(before, position=fresh.position, complete_through=None)
        for key, due in self._due.items():
            if due.stored is not None and _scope(key) == scope:
                due.stored = structs.replace(due.stored, position=fresh.position, complete_through=None)

    async def _write_freshness(self, fresh: Freshness) -> None:
        """Write how fresh all charts are at least, and which ones are not: a chart in which nothing changes is not
        written."""
        told = ChartsFreshness(**structs.asdict(fresh), refused=tuple(sorted(self.refused)))
        if fresh == UNKNOWN or told == self._written:
            return
        try:
            document = {**msgspec.to_builtins(told), "id": PROGRESS, "chart": PROGRESS}
            await self._container.upsert_item(document, no_response=True)
        except AzureError as error:
            self._record(error, "how fresh the charts are was not written")
        else:
            self._written = told
            self.last_error = None

    def _record(self, error: AzureError, what: str) -> None:
        if self.last_error is None:
            log.warning("%s, trying again: %s", what, last_line(error))
        self.last_error = error

    async def _write_some(self, merge: Merge, keys: list[str]) -> bool:
        """Write a few charts at once; return whether the service took them."""
        failures = await self._run_all({key: partial(self._find_previous, key, self._hour) for key in keys})
        if not merge.ready:
            return False
        # All at once, while nothing can move: the charts of a moment fit together.
        charts = {
            key: merge.chart(key, previous.ranks, previous.as_of)
            for key in keys
            if (previous := self._previous.get(key)) is not None
        }
        failures += await self._run_all({key: partial(self._put, key, chart) for key, chart in charts.items()})
        if failures:
            self._record(failures[0], f"{len(failures)} of {len(keys)} charts not written")
        return not failures

    async def _run_all(self, jobs: Mapping[str, Callable[[], Awaitable[None]]]) -> list[AzureError]:
        """Run the jobs of charts together; return the errors of those that may be tried again.

        A chart that Cosmos DB refuses costs no other: it is left out until it changes.
        """
        failures = []

        async def one(key: str, job: Callable[[], Awaitable[None]]) -> None:
            try:
                await job()
            except AzureError as error:
                if fault_of(error) is not ServiceFault.ITEM_REFUSED:
                    failures.append(error)
                    return
                if key not in self.refused:
                    log.error("chart %s is refused: %s", key, last_line(error))
                self.refused[key] = error
                self._due.pop(key, None)

        await gather_or_cancel(one(key, job) for key, job in jobs.items())
        return failures

    async def _put(self, key: str, chart: Chart) -> None:
        document = {**msgspec.to_builtins(chart), "chart": key}
        hour = snapshot_id(chart.as_of)
        await self._current.put(key, chart.as_of, document)
        if hour not in (self._snapshots.get(key), self.snapshots.snapshot_id):
            await self._snapshot({**document, "id": hour})
        self._snapshots[key] = hour
        self._due.pop(key, None)
        self.refused.pop(key, None)

    async def _snapshot(self, document: dict[str, Any]) -> None:
        """Keep the first chart of an hour, unless an earlier owner has done it."""
        with suppress(CosmosResourceExistsError):
            await self._container.create_item(document, no_response=True)

    async def _find_previous(self, key: str, hour: str) -> None:
        """Find the newest snapshot of an earlier hour."""
        known = self._previous.get(key)
        if known is not None and known.hour == hour:
            return
        before = PreviousRanks(hour, None, {})
        parameters: list[dict[str, object]] = [{"name": "@hour", "value": hour}]
        async for document in self._container.query_items(_NEWEST_BEFORE, parameters=parameters, partition_key=key):
            try:
                snapshot = convert(dict(document), Chart)
            except PoisonError as why:
                log.error("chart %s: passed over the snapshot %s, which is not one: %s", key, document.get("id"), why)
                continue
            before = PreviousRanks(hour, snapshot.as_of, {entry.song_id: entry.rank for entry in snapshot.entries})
        self._previous[key] = before


def _as_of(fresh: Freshness) -> datetime:
    return fresh.as_of


def _falls(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    return any(now.get(partition, -1) < position for partition, position in before.items())


def _scope(key: str) -> str:
    return GLOBAL if _is_global(key) else SCOPED


def _is_global(key: str) -> bool:
    return key.endswith(f":{GLOBAL}")
