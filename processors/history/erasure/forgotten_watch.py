"""Forgotten listeners as a running worker knows them: asked for now and then, and before a partition is read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from azure.cosmos.aio import CosmosClient

from songline.cloud import cosmos
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.tail_names import NOBODY_FORGOTTEN, ForgottenListeners
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_record import HubRecord, enqueued_seconds, with_bodies
from songline.processors.runtime.repeated_look import looking
from songline.schemas.channels import DATABASE, ERASURES

LOOK_S = 10.0
"""The pause between two looks for who was forgotten. One look that finds nobody costs a query."""


class ForgottenWatch:
    """The listeners whose events the hub has from before they were forgotten."""

    def __init__(self, store: ErasureStore, hub: HubMetadata) -> None:
        self._store = store
        self._hub = hub
        self._known = NOBODY_FORGOTTEN

    async def refresh(self) -> None:
        """Return once everybody is known who was forgotten by now. Raises AzureError and EventHubError."""
        erasures = await self._store.keyed()
        if not erasures:
            self._known = NOBODY_FORGOTTEN
            return
        self._known = ForgottenListeners(erasures, (await self._hub.describe()).created_at)

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """The records, where those of forgotten listeners have their names; `records` itself where there are none."""
        if not records or not self._known.may_name(partition, records[0].position):
            return records
        bodies = [record.body for record in records]
        # A thread: a large body that is no event has thousands of words, each hashed under the key of each erasure.
        after = await asyncio.to_thread(
            self._known.renamed,
            partition,
            [record.position for record in records],
            enqueued_seconds(records),
            bodies,
        )
        return records if after is bodies else with_bodies(records, after)


@asynccontextmanager
async def watch_forgotten(account: CosmosClient, hub: HubMetadata) -> AsyncIterator[ForgottenWatch]:
    """A watch that is kept up to date while the context lasts."""
    watch = ForgottenWatch(ErasureStore(cosmos.container(account, DATABASE, ERASURES)), hub)
    async with looking(watch.refresh, LOOK_S, "who was forgotten"):
        yield watch
