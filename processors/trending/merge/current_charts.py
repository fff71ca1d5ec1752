"""The current charts in Cosmos DB: one document a chart, which its owner replaces again and again.

A worker that was stopped for long may go on, or its last request may arrive late, when another one owns the charts. A
write is therefore made under the ETag of the one before it. Where that has changed, the later of both charts stays.
"""

from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud.cosmos import OVERTAKEN
from songline.schemas.decoding import convert
from songline.schemas.documents import CURRENT, Chart
from songline.schemas.errors import PoisonError


class CurrentCharts:
    """The documents CURRENT of a container, by chart. Methods raise AzureError."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container
        self._etags: dict[str, str] = {}

    def forget(self) -> None:
        """Forget what was written: another worker may write from now on, and what comes next is written in any case."""
        self._etags.clear()

    async def put(self, key: str, as_of: datetime, document: dict[str, Any]) -> None:
        """Write the chart, which is as of that moment, unless another worker has written a later one meanwhile."""
        conditions = _under(self._etags.get(key))
        while True:
            try:
                written = await self._container.upsert_item({**document, "id": CURRENT}, no_response=True, **conditions)
            except OVERTAKEN:
                if not conditions:
                    raise
                stored_as_of, etag = await self._read(key)
                conditions = _under(etag)
                if etag is not None and stored_as_of is not None and stored_as_of > as_of:
                    self._etags[key] = etag
                    return
            else:
                self._etags[key] = written.get_response_headers()["etag"]
                return

    async def _read(self, key: str) -> tuple[datetime | None, str | None]:
        """The moment of the stored chart, None for one that can't be understood, and its ETag. None, None: there is no
        chart."""
        try:
            item = dict(await self._container.read_item(CURRENT, key))
        except CosmosResourceNotFoundError:
            return None, None
        try:
            return convert(item, Chart).as_of, str(item["_etag"])
        except PoisonError:
            return None, str(item["_etag"])


def _under(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"etag": etag, "match_condition": MatchConditions.IfNotModified}
