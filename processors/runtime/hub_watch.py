"""The watch over a hub: partitions that are added or gone, a hub that is made anew, the ends of busy partitions."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

from songline.processors.runtime.owned_partition import OwnedPartition
from songline.processors.runtime.partition_reader import PartitionReader, ReaderDependencies
from songline.processors.runtime.progress import ObservedEnd
from songline.processors.runtime.resume_point import HubMismatch, missing_partitions, same_hub

log = logging.getLogger(__name__)


class HubWatch:
    """The hub of a reader that owns `owned`, by partition.

    `partitions` are those that the hub has, `missing` why others can't be read on. `changed` is set when the hub has
    other partitions than before. `observe` takes what the hub says of a partition's end.
    """

    def __init__(
        self,
        shared: ReaderDependencies,
        owned: Mapping[str, OwnedPartition],
        observe: Callable[[PartitionReader, ObservedEnd], None],
    ) -> None:
        self.partitions: frozenset[str] = frozenset()
        self.missing: Mapping[str, HubMismatch] = {}
        self.changed = asyncio.Event()
        self._shared = shared
        self._owned = owned
        self._observe = observe

    async def run(self, interval_s: float, crash: Callable[[Exception], None]) -> None:
        """Check the hub every `interval_s` seconds, for ever. `crash` is told of an error that is not of a service."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.check()
                await self._observe_busy(2 * interval_s)
            except (AzureError, EventHubError) as error:
                log.info("the hub does not answer a question about itself: %s", error)
            except Exception as error:  # noqa: BLE001  # the process ends with it
                crash(error)

    async def check(self) -> None:
        """Ask the hub for its partitions and its creation. Raises EventHubError and AzureError."""
        hub = await self._shared.metadata.describe()
        if hub.partitions != self.partitions or self.missing:
            await self._shared.watermarks.add(sorted(hub.partitions), hub.created_at)
            known = await self._shared.watermarks.read_all()
            self.missing = missing_partitions(known, hub.partitions, self._shared.hub)
        if self.partitions and hub.partitions != self.partitions:
            log.info("the hub has other partitions: %s", ", ".join(sorted(hub.partitions)))
            self.changed.set()
        self.partitions = hub.partitions
        for owned in list(self._owned.values()):
            known_at = owned.reader.watermark.created_at
            if owned.reader.mismatch is None and known_at is not None and not same_hub(known_at, hub.created_at):
                with suppress(EventHubError):
                    await owned.reader.check_hub()

    async def _observe_busy(self, silent_s: float) -> None:
        """Ask for the ends of partitions that were not asked for so long: their pump is busy with writes."""
        for owned in list(self._owned.values()):
            reader = owned.reader
            if reader.mismatch is not None or reader.partition not in self.partitions:
                continue
            if self._shared.steady() - owned.checked_s >= silent_s:
                asked_at = self._shared.now()
                _, last = await self._shared.metadata.read_ends(reader.partition)
                if reader.partition in self._owned:
                    self._observe(reader, ObservedEnd(last, asked_at))
