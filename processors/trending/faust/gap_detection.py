"""Gap detection: each batch of a partition has to begin where the one before it ended.

Faust may drop what waits in a stream when it resumes its flow after a recovery. Its own commits are safe, since a
dropped message is never acknowledged and holds them back. Our commits go by the last batch (see `batched_app.py`), so a
dropped batch would be lost. Here it is noticed, and read again.
"""

import logging
from collections.abc import Callable
from typing import Any

from faust.types import TP

from songline.processors.trending.faust.batch import Batch

log = logging.getLogger(__name__)


class GapDetector:
    """Of each partition of a hub that this worker holds, the offset at which the next batch has to begin.

    `reopen` is called for a partition whose offsets may be of another hub, or are deleted; without it, what is deleted
    is passed over.
    """

    def __init__(self, app: Any, hub: str, reopen: Callable[[int], None] | None = None) -> None:
        self._app = app
        self._reopen = reopen
        self._hub = hub
        self._next: dict[int, int] = {}

    def start(self, starts: dict[int, int]) -> None:
        """Expect these partitions at these offsets, and no others."""
        self._next = dict(starts)

    def expect(self, partition: int, offset: int | None) -> None:
        """Expect the partition at this offset; None: not at all."""
        if offset is None:
            self._next.pop(partition, None)
        else:
            self._next[partition] = offset

    async def follows(self, partition: int, batch: Batch) -> bool:
        """Whether the batch follows on the one before it, or repeats it. If not, the hub is read again from there.

        Events that the hub has deleted can't be read again.
        """
        expected = self._next.get(partition)
        if expected is None:
            return False
        if self._reopen is not None and batch.begin < expected:
            # Only another hub gives earlier offsets than were asked for; or Faust, where reopening does no harm.
            self._reopen(partition)
            return False
        if batch.begin > expected:
            tp = TP(self._hub, partition)
            oldest = (await self._app.consumer.earliest_offsets(tp))[tp] or 0
            if self._next.get(partition) != expected:
                return False
            if batch.begin > max(expected, oldest):
                log.warning("%s/%d: saw offset %d, expected %d; reading again", *tp, batch.begin, expected)
                # In the consumer's own thread: `Consumer.seek` races with the fetch loop there.
                await self._app.consumer.seek_wait({tp: expected})
                return False
            if self._reopen is not None:
                self._reopen(partition)
                return False
            log.error("%s/%d: offsets %d to %d are gone by retention, uncounted", *tp, expected, batch.begin - 1)
        self._next[partition] = max(expected, batch.end)
        return True
