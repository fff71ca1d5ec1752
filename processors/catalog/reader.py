"""The pump: batches of `music-events` into songs, then how far that is, then the checkpoint."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import cast

from azure.core.exceptions import AzureError
from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.amqp import AmqpMessageBodyType
from azure.eventhub.exceptions import EventHubError
from msgspec import Struct
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from processors.catalog import fold
from processors.catalog.dials import Dials
from processors.catalog.documents import Songs
from schemas.songs import Fact, Reached

log = logging.getLogger(__name__)

IN_FLIGHT = 8
BATCH = 500
MARGIN = timedelta(seconds=1)
"""How much before it was asked a partition that held nothing more is known to be complete: the hub has a clock of its
own."""


class Lane(Struct):
    """One partition in our hands. `noted_at`, `looked_at` and `stuck_since` are seconds of a steady clock."""

    partition: str
    last: EventData | None = None
    position: int = -1
    through: datetime | None = None
    noted: Reached | None = None
    noted_at: float = 0.0
    looked_at: float = 0.0
    stuck_since: float | None = None
    trouble: str = ""


class Reader:
    """Applies what the partitions say that `client` is given; `now` gives aware times, `steady` seconds."""

    def __init__(
        self,
        client: EventHubConsumerClient,
        songs: Songs,
        dials: Dials,
        now: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._songs = songs
        self._dials = dials
        self._now = now
        self._steady = steady
        self._lanes: dict[str, Lane] = {}
        self._unbalanced: tuple[float, str] | None = None
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    async def run(self) -> None:
        """Read until cancelled; what was applied by then is noted."""
        await self._songs.begin(await self._client.get_partition_ids())
        await self._client.receive_batch(
            self._take,
            max_batch_size=BATCH,
            max_wait_time=self._dials.flush,
            starting_position="-1",
            on_error=self._fail,
            on_partition_initialize=self._open,
            on_partition_close=self._close,
        )

    def why_not(self) -> list[str]:
        """The reasons for which the reader does not keep up."""
        now = self._steady()
        reasons = [
            f"partition {lane.partition} can't be applied for {now - lane.stuck_since:.0f} s: {lane.trouble}"
            for lane in self._lanes.values()
            if lane.stuck_since is not None and now - lane.stuck_since >= self._dials.stall
        ]
        if self._unbalanced is not None and now - self._unbalanced[0] < 2 * self._dials.balance:
            reasons.append(f"partitions can't be shared out: {self._unbalanced[1]}")
        return reasons

    async def _open(self, context: PartitionContext) -> None:
        """Go on from what is known to be applied, by whomever: the checkpoint may be behind that, never ahead."""
        lane = self._lanes[context.partition_id] = Lane(context.partition_id)
        await self._insist(lane, partial(self._resume, lane))
        log.info("partition %s is ours, applied up to %d", lane.partition, lane.position)

    async def _resume(self, lane: Lane) -> None:
        lane.noted = await self._songs.reached(lane.partition)
        if lane.noted is not None:
            lane.position, lane.through = lane.noted.position, lane.noted.through

    async def _close(self, context: PartitionContext, reason: CloseReason) -> None:
        lane = self._lanes.pop(context.partition_id)
        log.info("partition %s is given up: %s", context.partition_id, reason.name.lower())
        if reason is CloseReason.SHUTDOWN:
            await self._note(context, lane)

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
            await self._apply(lane, events)
            lane.last = events[-1]
            if (position := _position(lane.last)) >= lane.position:
                lane.position = position
                lane.through = _later(lane.through, lane.last.enqueued_time)
        elif self._steady() - lane.looked_at >= self._dials.look:
            await self._look(lane)
        if self._steady() - lane.noted_at >= self._dials.flush:
            await self._insist(lane, partial(self._note, context, lane))

    async def _apply(self, lane: Lane, events: Sequence[EventData]) -> None:
        said = fold.read((_position(event), _body(event)) for event in events)
        if said.poison:
            position, why = next(iter(said.poison.items()))
            words = "passed over %d of %d events of partition %s; the first is at %d: %s"
            log.warning(words, len(said.poison), len(events), lane.partition, position, why)
        async with asyncio.TaskGroup() as group:
            for song_id, fact in said.facts.items():
                group.create_task(self._insist(lane, partial(self._write, song_id, lane.partition, fact)))

    async def _write(self, song_id: str, partition: str, fact: Fact) -> None:
        async with self._gate:
            await self._songs.apply(song_id, partition, fact)

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

    async def _note(self, context: PartitionContext, lane: Lane) -> None:
        """Say how far the partition is, and only then move the checkpoint: read again, events are found applied."""
        reached = Reached(position=lane.position, through=lane.through)
        if reached == lane.noted:
            return
        if lane.through is not None:
            await self._songs.reach(lane.partition, reached)
        if lane.last is not None:
            await context.update_checkpoint(lane.last)
        lane.last, lane.noted, lane.noted_at = None, reached, self._steady()

    async def _insist(self, lane: Lane, job: Callable[[], Awaitable[None]]) -> None:
        """Try until it is done: later events must not overtake. Losing the partition cancels it."""

        def tell(state: RetryCallState) -> None:
            assert state.outcome is not None
            error = state.outcome.exception()
            lane.trouble = f"{type(error).__name__}: {error}".splitlines()[0]
            if lane.stuck_since is None:
                lane.stuck_since = self._steady()
                log.warning("partition %s waits: %s", lane.partition, lane.trouble)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(AzureError),
            wait=wait_exponential_jitter(initial=0.2, max=5),
            before_sleep=tell,
        )
        await retrying(job)
        lane.stuck_since = None


def _position(event: EventData) -> int:
    assert event.sequence_number is not None, "the SDK gives none only to events that were not received"
    return event.sequence_number


def _body(event: EventData) -> bytes:
    """The bytes of the event; none where its body is no data section, which no event of ours is."""
    return b"".join(cast("Iterable[bytes]", event.body)) if event.body_type is AmqpMessageBodyType.DATA else b""


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
