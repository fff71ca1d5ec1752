"""The broadcaster's part of the pump: songs of a batch are told to Event Grid before the batch counts as applied."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from songline.processors.broadcast.announcements import parse_announcements, requests
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError

Send = Callable[[list[dict[str, Any]]], Awaitable[None]]
"""Returns once the topic has the events. Raises AzureError."""


class BroadcastPartitionProcessor:
    """A partition of `music-events`. It holds nothing between two batches: what the topic has taken is applied, and
    what a worker that was killed had sent is sent again, with the same ids."""

    def __init__(self, send: Send, retries: PersistentRetry) -> None:
        self._send = send
        self._retries = retries

    @property
    def is_full(self) -> bool:
        """False: nothing is held."""
        return False

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Return once the topic has all songs of the batch, with what can't be decoded, by position."""
        batch = parse_announcements(records)
        for events in requests(batch.announcements):
            await self._retries.run(partial(self._send, events), writes_item=True)
        return batch.poison

    async def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""
