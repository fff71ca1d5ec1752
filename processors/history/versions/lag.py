"""How far a version is behind the hub: by its watermarks, against the hub as it is now."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime

from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.history.archive.errors import HubUnreadableError
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.runtime.resume_point import HubMismatch, missing_partitions, resume_point
from songline.schemas.progress import Watermark

_PATIENCE_S = 15.0


class VersionLag(Struct, frozen=True):
    """How far a version is behind: `events` that it has not applied, the oldest of which the hub took `age_s` seconds
    ago, 0 where there is none. `gone`: why it can't go on from where it is, empty where it can."""

    events: int
    age_s: float
    gone: str = ""

    def __str__(self) -> str:
        if self.gone:
            return self.gone
        if not self.events:
            return "nothing behind"
        return f"{self.events:,} events behind, the oldest {self.age_s:.0f} s old"


class LagMeter:
    """Measures versions of `hub`, whose events `tail` reads. `now` gives the time of day."""

    def __init__(self, hub: str, tail: HubTail, now: Callable[[], datetime]) -> None:
        self._hub = hub
        self._tail = tail
        self._now = now

    async def measure(self, watermarks: Mapping[str, Watermark]) -> VersionLag:
        """The lag of a version with these watermarks. Raises EventHubError."""
        described = await self._tail.describe()
        applied = {partition: one for partition, one in watermarks.items() if one.position >= 0}
        gone = [one.sentence for one in missing_partitions(applied, described.partitions, self._hub).values()]
        partitions = sorted(described.partitions, key=int)
        found = await gather_or_cancel(self._of(one, watermarks.get(one)) for one in partitions)
        gone += [one.gone for one in found if one.gone]
        age_s = max((one.age_s for one in found), default=0.0)
        return VersionLag(sum(one.events for one in found), age_s, "; ".join(gone))

    async def _of(self, partition: str, stored: Watermark | None) -> VersionLag:
        watermark = stored or Watermark(position=-1, through=None)
        asked_s = self._now().timestamp()
        state = await self._tail.read_state(partition)
        if state is None:
            return VersionLag(0, 0.0)
        place = f"{self._hub}/{partition}"
        found = resume_point(watermark, state, place)
        if isinstance(found, HubMismatch):
            return VersionLag(0, 0.0, found.sentence)
        gone = ""
        if watermark.position < 0 and state.first > 0:
            gone = f"{place}: nothing is applied, and the hub begins at {state.first}"
        events = state.last - found.next_position + 1
        if events <= 0:
            return VersionLag(0, 0.0, gone)
        taken_s: float | None = await self._enqueued_s(partition, found.next_position)
        if taken_s is None and watermark.through is not None:
            taken_s = watermark.through.timestamp()
        # Where nothing is known of when, it is as old as can be.
        age_s = float("inf") if taken_s is None else max(0.0, asked_s - taken_s)
        return VersionLag(events, age_s, gone)

    async def _enqueued_s(self, partition: str, position: int) -> int | None:
        """The second at which the hub took the event at a position; None where it does not give it."""
        reading = self._tail.read(partition, position, position)
        with suppress(HubUnreadableError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S), aclosing(reading) as batches:
                async for batch in batches:
                    return None if isinstance(batch, int) else batch.enqueued_s[0]
        return None
