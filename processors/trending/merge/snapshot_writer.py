"""The snapshots of an hour to Cosmos DB: the charts at its first moment, over all that the hub had taken before it.

They replace what was kept of that hour before, which is the first chart that was written in it.
"""

import logging
from collections.abc import Callable
from datetime import datetime

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.merge.hour_merges import HourMerge
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.decoding import convert
from songline.schemas.documents import GLOBAL, Chart, chart_key, snapshot_id
from songline.schemas.errors import PoisonError
from songline.schemas.moments import moment_at

log = logging.getLogger(__name__)

IN_FLIGHT = 8
_OF_HOUR = "SELECT VALUE c.chart FROM c WHERE c.id = @id"
_BEFORE = "SELECT TOP 2 c.id, c.asOf FROM c WHERE c.id < @id ORDER BY c.id DESC"
_WEEK = chart_key("top", "7d", GLOBAL)


class SnapshotWork(Struct):
    """What is left to write of an hour's snapshots: charts by their keys, and those of which none is to be left.
    `compared_with` is the moment of the snapshots before."""

    hour: int
    compared_with: datetime | None
    left: list[str]
    removed: list[str]


class SnapshotWriter:
    """Writes `writes()` snapshots a call at most. `last_error` is the error of the last call, None where it had none.

    `snapshot_id` is that of the hour that is written, or was last: no other snapshot is to be kept of it. `refused` has
    the error of each chart whose last snapshot Cosmos DB refused: of that hour the first chart stays, as of its own
    moment."""

    def __init__(self, container: ContainerProxy, writes: Callable[[], int]) -> None:
        self._container = container
        self._writes = writes
        self._work: SnapshotWork | None = None
        self.snapshot_id = ""
        self.last_error: AzureError | None = None
        self.refused: dict[str, AzureError] = {}

    def forget(self) -> None:
        """Another worker may write from now on."""
        self._work = None
        self.snapshot_id = ""
        self.last_error = None
        self.refused.clear()

    async def write(self, found: HourMerge) -> bool:
        """Write snapshots of an hour; return whether all are written. What can't be written is left to a later call."""
        try:
            if self._work is None or self._work.hour != found.hour:
                self.snapshot_id = _id(found.hour)
                self._work = await self._begin(found)
            work, writes = self._work, max(1, self._writes())
            while writes > 0 and (work.left or work.removed):
                some = min(IN_FLIGHT, writes)
                left, removed = work.left[:some], work.removed[:some]
                await gather_or_cancel(self._put(found, work, key) for key in left)
                await gather_or_cancel(self._remove(work.hour, key) for key in removed)
                work.left, work.removed = work.left[some:], work.removed[some:]
                writes -= some
        except AzureError as error:
            if self.last_error is None:
                log.warning("the snapshots of %s were not written, trying again: %s", _id(found.hour), last_line(error))
            self.last_error = error
            return False
        self.last_error = None
        return not (work.left or work.removed)

    async def _begin(self, found: HourMerge) -> SnapshotWork:
        keys = {key for key in sorted(found.merge.keys()) if found.merge.chart(key, {}).entries}
        for key in self.refused.keys() - keys:
            del self.refused[key]
        parameters: list[dict[str, object]] = [{"name": "@id", "value": _id(found.hour)}]
        kept = {str(key) async for key in self._container.query_items(_OF_HOUR, parameters=parameters)}
        before = self._container.query_items(_BEFORE, parameters=parameters, partition_key=_WEEK)
        known = [(str(one["id"]), one["asOf"]) async for one in before]
        # In the hour in which the first event came, nothing had come by its first moment.
        began_before = any(id_ < _id(found.hour - 1) or as_of == f"{id_}:00:00Z" for id_, as_of in known)
        compared_with = moment_at((found.hour - 1) * HOUR_MS) if began_before else None
        return SnapshotWork(found.hour, compared_with, sorted(keys), sorted(kept - keys))

    async def _put(self, found: HourMerge, work: SnapshotWork, key: str) -> None:
        ranks = {} if work.compared_with is None else await self._ranks(key, work.hour - 1)
        chart = found.merge.chart(key, ranks, work.compared_with)
        document = {**msgspec.to_builtins(chart), "id": _id(work.hour), "chart": key}
        try:
            await self._container.upsert_item(document, no_response=True)
        except AzureError as error:
            if fault_of(error) is not ServiceFault.ITEM_REFUSED:
                raise
            if key not in self.refused:
                log.error("the snapshot of chart %s is refused: %s", key, last_line(error))
            self.refused[key] = error
        else:
            self.refused.pop(key, None)

    async def _remove(self, hour: int, key: str) -> None:
        try:
            await self._container.delete_item(_id(hour), key)
        except CosmosResourceNotFoundError:
            return

    async def _ranks(self, key: str, hour: int) -> dict[str, int]:
        """The ranks of an hour's snapshot, by song id."""
        try:
            before = convert(dict(await self._container.read_item(_id(hour), key)), Chart)
        except (CosmosResourceNotFoundError, PoisonError):
            return {}
        return {entry.song_id: entry.rank for entry in before.entries}


def _id(hour: int) -> str:
    return snapshot_id(moment_at(hour * HOUR_MS))
