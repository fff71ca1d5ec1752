"""The pump of a projection: batches of a hub into it, then how far that is, then the checkpoint."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, cast

from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.amqp import AmqpMessageBodyType
from azure.eventhub.exceptions import EventHubError
from msgspec import Struct

from processors.pace import Pace
from processors.patience import Patience
from processors.positions import Positions
from processors.record import Record
from schemas.progress import Reached

log = logging.getLogger(__name__)

BATCH = 1_000
MARGIN = timedelta(seconds=1)
"""How much before it was asked a partition that held nothing more is known to be complete: the hub has a clock of its
own."""

FAR_BEHIND = timedelta(seconds=10)
STRETCH = 30
"""Far behind, so many times the usual interval makes fewer and fuller writes. Having caught up ends it at once."""

MARK = 5.0
"""Seconds between two checkpoints of a partition. They only say where to begin to read; what is applied is noted with
every flush."""

PARTING = 8.0
"""Whoever runs a worker gives it ten seconds to end."""


class Part(Protocol):
    """What a projection does with one partition, for as long as that is in our hands."""

    @property
    def full(self) -> bool:
        """Whether it holds as much as it may, and must be flushed."""

    async def take(self, records: Sequence[Record]) -> None:
        """Take in what comes next."""

    async def flush(self) -> None:
        """Returns when everything that was taken is written."""

    def close(self) -> None:
        """The partition is given up: what was taken and not flushed will come again, to whoever has it then."""


class Lane(Struct):
    """One partition in our hands. `settled_at`, `looked_at` and `marked_at` are seconds of a steady clock."""

    partition: str
    part: Part
    patience: Patience
    last: EventData | None = None
    position: int = -1
    through: datetime | None = None
    noted: Reached | None = None
    settled_at: float = 0.0
    looked_at: float = 0.0
    marked_at: float = 0.0


class Reader:
    """Gives the partitions that `client` is given to a projection: `open` makes a Part of a partition's name.

    `now` gives aware times, `steady` seconds.
    """

    def __init__(
        self,
        client: EventHubConsumerClient,
        open: Callable[[str, Patience], Part],  # noqa: A002  # what it does, where nothing else is opened
        positions: Positions,
        pace: Pace,
        now: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._make = open
        self._positions = positions
        self._pace = pace
        self._now = now
        self._steady = steady
        self._lanes: dict[str, Lane] = {}
        self._unbalanced: tuple[float, str] | None = None

    async def run(self) -> None:
        """Read until cancelled; closing the client then writes and notes what was taken by then."""
        await self._positions.begin(await self._client.get_partition_ids())
        await self._client.receive_batch(
            self._take,
            max_batch_size=BATCH,
            prefetch=BATCH,
            # The SDK looks up so often when nothing comes: what waits to be flushed waits little longer.
            max_wait_time=self._pace.flush / 4,
            starting_position="-1",
            on_error=self._fail,
            on_partition_initialize=self._open,
            on_partition_close=self._close,
        )

    def why_not(self) -> list[str]:
        """The reasons for which the reader does not keep up."""
        reasons = [
            f"partition {lane.partition} can't be applied for {stuck:.0f} s: {lane.patience.trouble}"
            for lane in self._lanes.values()
            if (stuck := lane.patience.stuck()) >= self._pace.stall
        ]
        if self._unbalanced is not None and self._steady() - self._unbalanced[0] < 2 * self._pace.balance:
            reasons.append(f"partitions can't be shared out: {self._unbalanced[1]}")
        return reasons

    async def _open(self, context: PartitionContext) -> None:
        """Go on from what is known to be applied, by whomever: the checkpoint may be behind that, never ahead."""
        partition = context.partition_id
        patience = Patience(f"partition {partition}", self._steady)
        lane = self._lanes[partition] = Lane(partition, self._make(partition, patience), patience)
        await patience.insist(partial(self._resume, lane))
        log.info("partition %s is ours, applied up to %d", partition, lane.position)

    async def _resume(self, lane: Lane) -> None:
        lane.noted = await self._positions.reached(lane.partition)
        if lane.noted is not None:
            lane.position, lane.through = lane.noted.position, lane.noted.through

    async def _close(self, context: PartitionContext, reason: CloseReason) -> None:
        lane = self._lanes.pop(context.partition_id)
        log.info("partition %s is given up: %s", context.partition_id, reason.name.lower())
        try:
            if reason is CloseReason.SHUTDOWN:
                async with asyncio.timeout(PARTING):
                    await self._settle(context, lane, mark_every=0)
        except TimeoutError:
            log.warning("partition %s: what came last is left to its next reader", context.partition_id)
        finally:
            lane.part.close()

    async def _fail(self, context: PartitionContext | None, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        if context is None:
            self._unbalanced = (self._steady(), words)
            log.warning("partitions can't be shared out, trying again: %s", words)
        else:
            log.warning("partition %s is read anew: %s", context.partition_id, words)

    async def _take(self, context: PartitionContext, events: list[EventData]) -> None:
        lane = self._lanes[context.partition_id]
        if events:
            await lane.part.take([_record(event) for event in events])
            lane.last = events[-1]
            # What comes tells how far it is; to ask costs a connection each time.
            lane.looked_at = self._steady()
            if (position := _position(lane.last)) >= lane.position:
                lane.position = position
                lane.through = _later(lane.through, lane.last.enqueued_time)
        elif self._steady() - lane.looked_at >= self._pace.look:
            await self._look(lane)
        if lane.part.full or self._steady() - lane.settled_at >= self._interval(events[-1] if events else None):
            await self._settle(context, lane)

    def _interval(self, newest: EventData | None) -> float:
        """`newest` is the last event that came just now; None is a partition that held nothing more."""
        logged = None if newest is None else newest.enqueued_time
        behind = logged is not None and self._now() - logged > FAR_BEHIND
        return self._pace.flush * (STRETCH if behind else 1)

    async def _look(self, lane: Lane) -> None:
        """An idle partition is complete through the moment at which the hub says that it holds nothing more."""
        lane.looked_at = self._steady()
        asked = self._now()
        try:
            held = await self._client.get_partition_properties(lane.partition)
        except EventHubError as error:
            log.info("partition %s does not tell its end: %s", lane.partition, error)
            return
        if held["is_empty"] or held["last_enqueued_sequence_number"] <= lane.position:
            lane.through = _later(lane.through, asked - MARGIN)

    async def _settle(self, context: PartitionContext, lane: Lane, mark_every: float = MARK) -> None:
        """Write what was taken, say how far the partition is, and only then move the checkpoint: read again, events
        are found applied."""
        await lane.part.flush()
        await lane.patience.insist(partial(self._note, lane))
        if lane.last is not None and self._steady() - lane.marked_at >= mark_every:
            await lane.patience.insist(partial(context.update_checkpoint, lane.last))
            lane.last, lane.marked_at = None, self._steady()
        lane.settled_at = self._steady()

    async def _note(self, lane: Lane) -> None:
        reached = Reached(position=lane.position, through=lane.through)
        if reached != lane.noted and lane.through is not None:
            await self._positions.reach(lane.partition, reached)
        lane.noted = reached


def _record(event: EventData) -> Record:
    # The body is no data section where the sender was none of ours.
    data = event.body_type is AmqpMessageBodyType.DATA
    body = b"".join(cast("Iterable[bytes]", event.body)) if data else b""
    return Record(_position(event), event.enqueued_time, body)


def _position(event: EventData) -> int:
    assert event.sequence_number is not None, "the SDK gives none only to events that were not received"
    return event.sequence_number


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
