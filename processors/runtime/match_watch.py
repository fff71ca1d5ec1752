"""The matches of names as a running process knows them: read before it begins, and then every two seconds."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud import cosmos
from songline.processors.runtime.hub_record import HubRecord, enqueued_seconds, with_bodies
from songline.processors.runtime.repeated_look import looking
from songline.schemas.channels import DATABASE, NAMES
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.name_matches import CHANGES, KIND, NO_MATCHES, SHARD, NameMatch, NameMatches

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""The pause between two looks for new matches, which cost a point read each: less than half of LEAD_S."""

_MATCHES = "SELECT * FROM c WHERE c.kind = @kind"


class MatchWatch:
    """The matches in the container `names`; none where an account has no such container yet."""

    def __init__(self, names: ContainerProxy) -> None:
        self._names = names
        self._etag = ""
        self.matches = NO_MATCHES

    async def refresh(self) -> None:
        """Return once all matches are known that there are by now. Raises AzureError."""
        try:
            etag = await self._changed()
            if etag is None:
                return
            found: dict[str, NameMatch] = {}
            query = self._names.query_items(
                _MATCHES, parameters=[{"name": "@kind", "value": KIND}], partition_key=SHARD
            )
            async for item in query:
                try:
                    match = convert(dict(item), NameMatch)
                except PoisonError as poison:
                    log.error("a match of a name is damaged, and passed over: %s: %s", item.get("id"), poison)
                    continue
                found[match.name] = match
        except CosmosResourceNotFoundError:
            return
        self.matches = NameMatches(found)
        self._etag = etag

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """The records, where events of names have the songs that these are; `records` itself where there are none."""
        if not len(self.matches):
            return records
        bodies = [record.body for record in records]
        after = self.matches.matched(bodies, enqueued_seconds(records))
        return records if after is bodies else with_bodies(records, after)

    async def _changed(self) -> str | None:
        """The ETag of the document that tells of changes; None where it is the one that is known, or where there is
        none yet."""
        try:
            if not self._etag:
                found = await self._names.read_item(CHANGES, SHARD)
            else:
                found = await self._names.read_item(
                    CHANGES, SHARD, etag=self._etag, match_condition=MatchConditions.IfModified
                )
        except CosmosResourceNotFoundError:
            return None
        # An answer 304 has no body.
        return str(found["_etag"]) if found else None


@asynccontextmanager
async def watch_matches(account: CosmosClient) -> AsyncIterator[MatchWatch]:
    """A watch that is kept up to date while the context lasts. Nothing is read before its first `refresh`."""
    watch = MatchWatch(cosmos.container(account, DATABASE, NAMES))
    async with looking(watch.refresh, LOOK_S, "the matches of names"):
        yield watch


async def read_matches(account: CosmosClient) -> NameMatches:
    """The matches that there are by now. Raises AzureError."""
    watch = MatchWatch(cosmos.container(account, DATABASE, NAMES))
    await watch.refresh()
    return watch.matches
