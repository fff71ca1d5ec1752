"""The documents of a version of the charts, as a rebuild writes them: what the trending worker writes, of all hours."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import structs

from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.documents import CURRENT, Chart, snapshot_id
from songline.schemas.progress import PROGRESS, Freshness

IN_FLIGHT = 16

STATE = "@rebuild"
"""The id of the document that says up to which hour a rebuild has written all, in a partition of its own."""


class RebuiltDocuments:
    """Writes documents into the `container` of a version, whose partition key is the field `key`.

    Whatever a service answers is waited out; `retries` says what that is.
    """

    def __init__(self, container: ContainerProxy, key: str) -> None:
        self._container = container
        self._key = key
        self.retries = PersistentRetry(f"the rebuild of {container.id}")

    async def write(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Write documents, IN_FLIGHT at a time. Raises ItemRefusedError."""
        left = iter(documents)

        async def writer() -> None:
            for document in left:
                await self._put(document)

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(writer())

    async def read_hour(self) -> int | None:
        """The hour up to which an earlier rebuild has written all; None for none."""
        try:
            found = await self._container.read_item(STATE, STATE)
        except CosmosResourceNotFoundError:
            return None
        hour = found.get("hour")
        return hour if isinstance(hour, int) else None

    async def write_hour(self, hour: int) -> None:
        """Say that all is written up to an hour (UTC hours since 1970)."""
        await self._put({"id": STATE, self._key: STATE, "hour": hour})

    async def _put(self, document: Mapping[str, Any]) -> None:
        async def put() -> None:
            await self._container.upsert_item(dict(document), no_response=True)

        await self.retries.run(put, writes_item=True)


class ChartDocuments(RebuiltDocuments):
    """Writes charts into the container of a version."""

    def __init__(self, container: ContainerProxy) -> None:
        super().__init__(container, "chart")

    async def write_snapshots(self, charts: Mapping[str, Chart]) -> None:
        """Write the snapshots of an hour."""
        await self.write(_document(key, chart, snapshot_id(chart.as_of)) for key, chart in charts.items())

    async def write_current(self, charts: Mapping[str, Chart], empty: Chart) -> None:
        """Write the current charts, and how fresh they are; those that are there and not among `charts` are `empty`."""
        query = "SELECT VALUE c.chart FROM c WHERE c.id = @id"
        known = {
            str(key) async for key in self._container.query_items(query, parameters=[{"name": "@id", "value": CURRENT}])
        }
        found = dict(charts)
        for key in known - charts.keys():
            kind, window, scope = key.split(":", 2)
            found[key] = structs.replace(empty, kind=kind, window=window, scope=scope)
        await self.write(_document(key, chart, CURRENT) for key, chart in found.items())
        fresh = Freshness(as_of=empty.as_of, complete_through=empty.complete_through, position=empty.position)
        await self.write([{**msgspec.to_builtins(fresh), "id": PROGRESS, "chart": PROGRESS}])


def _document(key: str, chart: Chart, id_: str) -> dict[str, Any]:
    return {**msgspec.to_builtins(chart), "chart": key, "id": id_}
