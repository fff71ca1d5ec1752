"""The documents of a version of the charts, as a rebuild writes them: what the trending worker writes, of all hours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from azure.core.exceptions import HttpResponseError
from azure.cosmos.aio import ContainerProxy
from msgspec import structs

from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.documents import CURRENT, Chart, snapshot_id
from songline.schemas.progress import PROGRESS, Freshness

IN_FLIGHT = 16

STATE = "@rebuild"
"""The id and partition key of a document in which former releases kept how far a rebuild was."""

WAITING_MAX = 2_000
"""Snapshots that wait to be written together: some 15 KB each."""
BATCH = 20
"""Documents of a partition key in one request. It may have 2 MB: only charts whose titles are long have more."""

Document = Mapping[str, Any]


class RebuiltDocuments:
    """Writes documents into the `container` of a version, whose partition key is the field `key`.

    Whatever a service answers is waited out; `retries` says what that is. Methods that write raise ItemRefusedError.
    """

    def __init__(self, container: ContainerProxy, key: str) -> None:
        self._container = container
        self._key = key
        self.retries = PersistentRetry(f"the rebuild of {container.id}")

    @property
    def is_full(self) -> bool:
        """Whether as many documents wait to be written together as may."""
        return False

    async def write(self, documents: Iterable[Document]) -> None:
        """Write documents, IN_FLIGHT requests at a time."""
        await self._write_groups([one] for one in documents)

    async def flush(self) -> None:
        """Write what waits to be written together with more."""

    async def _write_groups(self, groups: Iterable[Sequence[Document]]) -> None:
        """Write documents in groups of one partition key each."""
        left = iter(groups)

        async def writer() -> None:
            for group in left:
                await (self._put(group[0]) if len(group) == 1 else self._put_all(group))

        await gather_or_cancel(writer() for _ in range(IN_FLIGHT))

    async def _put(self, document: Document) -> None:
        async def put() -> None:
            await self._container.upsert_item(dict(document), no_response=True)

        await self.retries.run(put, writes_item=True)

    async def _put_all(self, documents: Sequence[Document]) -> None:
        """Write documents of a partition key in one request; each by itself where that is refused, or too large."""
        operations = [("upsert", (dict(one),)) for one in documents]

        async def put() -> None:
            try:
                await self._container.execute_item_batch(operations, documents[0][self._key], no_response=True)
            except HttpResponseError as error:
                if fault_of(error) is not ServiceFault.ITEM_REFUSED:
                    raise
                for document in documents:
                    await self._container.upsert_item(dict(document), no_response=True)

        await self.retries.run(put, writes_item=True)


class ChartDocuments(RebuiltDocuments):
    """Writes charts into the container of a version."""

    def __init__(self, container: ContainerProxy) -> None:
        super().__init__(container, "chart")
        self._waiting: dict[str, list[Chart]] = {}
        self._waiting_count = 0

    @property
    def is_full(self) -> bool:
        """Whether so many snapshots wait that `flush` is to write them."""
        return self._waiting_count >= WAITING_MAX

    def hold_snapshots(self, charts: Mapping[str, Chart]) -> None:
        """Hold the snapshots of an hour until `flush`: those of some hours are written together."""
        for key, chart in charts.items():
            self._waiting.setdefault(key, []).append(chart)
        self._waiting_count += len(charts)

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

    async def flush(self) -> None:
        """Write the snapshots that wait."""
        await self._write_groups(
            [_document(key, chart, snapshot_id(chart.as_of)) for chart in charts[start : start + BATCH]]
            for key, charts in self._waiting.items()
            for start in range(0, len(charts), BATCH)
        )
        self._waiting, self._waiting_count = {}, 0


def _document(key: str, chart: Chart, id_: str) -> dict[str, Any]:
    return {**msgspec.to_builtins(chart), "chart": key, "id": id_}
