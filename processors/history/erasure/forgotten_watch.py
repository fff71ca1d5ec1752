"""Forgotten listeners as a running worker knows them: asked for now and then, and before a partition is read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from azure.core.exceptions import AzureError
from azure.cosmos.aio import CosmosClient
from azure.eventhub.exceptions import EventHubError
from msgspec import structs

from songline.cloud import cosmos
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.tail_names import NOBODY_FORGOTTEN, ForgottenListeners
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.channels import DATABASE, ERASURES

log = logging.getLogger(__name__)

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
            [0 if one.enqueued_at is None else int(one.enqueued_at.timestamp()) for one in records],
            bodies,
        )
        if after is bodies:
            return records
        return [
            record if body is record.body else structs.replace(record, body=body)
            for record, body in zip(records, after, strict=True)
        ]

    async def run(self) -> None:
        """Refresh every LOOK_S seconds until cancelled. Who is known stays known while that fails."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.refresh()
            except (AzureError, EventHubError) as error:
                log.info("who was forgotten can't be read: %s", error)
            except Exception:
                # An end of this task would leave the worker without those who are forgotten from now on.
                log.exception("who was forgotten can't be read")


@asynccontextmanager
async def watch_forgotten(account: CosmosClient, hub: HubMetadata) -> AsyncIterator[ForgottenWatch]:
    """A watch that is kept up to date while the context lasts."""
    watch = ForgottenWatch(ErasureStore(cosmos.container(account, DATABASE, ERASURES)), hub)
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.wait((running,))
