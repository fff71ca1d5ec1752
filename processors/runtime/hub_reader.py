"""The pump of a projection: the partitions that the SDK gives this worker, each read by a PartitionReader."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial

from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

from songline.processors.runtime.checkpoints import BEGINNING, Checkpoints
from songline.processors.runtime.event_data import position_of, record_of
from songline.processors.runtime.gap_detection import following_events
from songline.processors.runtime.partition_processor import FoldCrashedError, ParkingStoppedError, ReadAgainError
from songline.processors.runtime.partition_reader import PartitionReader, ReaderDependencies
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.progress import ProgressBounds, ProgressObservation, ProgressTracker
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.runtime.resume_point import HubMismatch, missing_partitions, same_hub
from songline.processors.runtime.service_errors import SERVICE_ERRORS
from songline.processors.runtime.watermark_store import PositionResetError
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, not_ready

log = logging.getLogger(__name__)

BATCH = 1_000

PORTION = 100
"""Events that are folded before it is asked again whether to settle."""

FAR_BEHIND = timedelta(seconds=10)
STRETCH = 30
"""Far behind, so many times the usual interval makes fewer and fuller writes. Having caught up ends it at once."""
LONGEST_FLUSH_S = 10.0
"""However far behind, so often it is noted how far it is: else it seems to stand still."""

CHECKPOINT_S = 5.0
"""Seconds between two checkpoints of a partition. They only say where to begin to read; what is applied is noted with
every flush."""

CLOSING_S = 8.0
"""Whoever runs a worker gives it ten seconds to end."""


class OwnedPartition:
    """A partition in our hands, and when it was last settled, asked for its end, and checkpointed, in seconds."""

    def __init__(self, reader: PartitionReader, now_s: float) -> None:
        self.reader = reader
        self.last: EventData | None = None
        self.took = False
        self.misplaced = False
        self.settled_s = 0.0
        self.looked_s = 0.0
        self.marked_s = 0.0


class HubReader:
    """Gives the partitions that `client` is given to a projection.

    `client` heals its connections; what `parts.ask` asks fails soon where the hub is away. `checkpoints` are where it
    begins to read. `new_id` makes names that no other stay has.
    """

    def __init__(
        self,
        client: EventHubConsumerClient,
        parts: ReaderDependencies,
        pace: ProjectionConfig,
        checkpoints: Checkpoints,
        new_id: Callable[[], str],
    ) -> None:
        self._client = client
        self._parts = parts
        self._pace = pace
        self._checkpoints = checkpoints
        self._new_id = new_id
        self._stays: dict[str, OwnedPartition] = {}
        self._unbalanced: tuple[float, str] | None = None
        self._gaps: dict[str, tuple[int, str]] = {}
        self._partitions: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._gone: Mapping[str, HubMismatch] = {}
        self._crashed: asyncio.Future[None] | None = None
        self._tracker = ProgressTracker(parts.reader, ProgressBounds(stall_s=pace.stall, behind_s=pace.behind))

    async def run(self) -> None:
        """Read until cancelled; what was taken by then is written and noted. Raises FoldCrashedError."""
        self._crashed = asyncio.get_running_loop().create_future()
        await PersistentRetry(f"the hub {self._parts.hub}", self._parts.steady).run(self._look_at_hub)
        watching = asyncio.create_task(self._watch_hub())
        try:
            while True:
                self._changed.clear()
                await self._receive()
        finally:
            watching.cancel()

    async def _receive(self) -> None:
        """Read until the hub has other partitions, which the SDK asks for only when it begins."""
        assert self._crashed is not None
        receiving = asyncio.create_task(
            self._client.receive_batch(
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
        )
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((receiving, changed, self._crashed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            receiving.cancel()
            with suppress(asyncio.CancelledError):
                await receiving
        if self._crashed.done():
            self._crashed.result()

    def report(self, given: Iterable[NotReadyReason] = ()) -> ProgressReport:
        """How far the partitions in our hands are, and why the worker is not ready."""
        return self._tracker.report(self._parts.steady(), self._parts.now(), [*given, *self._reasons()])

    def _reasons(self) -> Iterable[NotReadyReason]:
        worker, hub = self._parts.reader, self._parts.hub
        if self._parts.bound.reason:
            sentence = f"nothing is folded or parked any more: {self._parts.bound.reason}"
            yield not_ready(worker, NotReadyCause.TOO_MANY_PARKED, sentence)
        for partition, stay in self._stays.items():
            reader = stay.reader
            if partition not in self._partitions:
                continue
            if reader.held is not None:
                yield not_ready(worker, reader.held.cause, reader.held.sentence, hub=hub, partition=partition)
            elif (stuck := reader.retries.failing_for_s()) >= self._pace.stall:
                cause = reader.retries.cause
                sentence = f"partition {partition} can't be applied for {stuck:.0f} s: {reader.retries.trouble}"
                yield not_ready(worker, cause, sentence, hub=hub, partition=partition)
        for partition, why in self._gone.items():
            yield not_ready(worker, why.cause, why.sentence, hub=hub, partition=partition)
        for partition, (_, sentence) in self._gaps.items():
            yield not_ready(worker, NotReadyCause.STANDS_STILL, sentence, hub=hub, partition=partition)
        if self._unbalanced is not None and self._parts.steady() - self._unbalanced[0] < 2 * self._pace.balance:
            sentence = f"partitions can't be shared out: {self._unbalanced[1]}"
            yield not_ready(worker, NotReadyCause.PARTITIONS_MOVING, sentence)

    async def _open(self, context: PartitionContext) -> None:
        """Go on from what is known to be applied, by whomever: the checkpoint may be behind that."""
        partition = context.partition_id
        reader = PartitionReader(partition, self._new_id(), self._parts)
        self._stays[partition] = OwnedPartition(reader, self._parts.steady())
        if partition in self._partitions:
            await reader.retries.run(reader.resume)
        else:
            # The SDK also claims what somebody owned once.
            reader.hold(HubMismatch(NotReadyCause.HUB_MADE_ANEW, f"{reader.place}: the hub has no such partition"))
        if reader.held is not None:
            log.error("%s: nothing of it is folded", reader.held.sentence)
        else:
            log.info("partition %s is ours, applied up to %d", partition, reader.reached.position)
            await reader.retries.run(partial(self._place, self._stays[partition]))
        self._observe(reader)

    async def _place(self, stay: OwnedPartition) -> None:
        """Set a checkpoint back that is beyond what is applied: what is between would never come."""
        reader = stay.reader
        begins = (await self._checkpoints.all()).get(reader.partition, BEGINNING)
        if begins > reader.reached.position:
            words = "%s: the checkpoint, %d, is beyond what is applied: it is set back"
            log.warning(words, reader.place, begins)
            await self._checkpoints.rewind(reader.partition)
            stay.misplaced = True

    async def _close(self, context: PartitionContext, reason: CloseReason) -> None:
        partition = context.partition_id
        stay = self._stays.pop(partition)
        log.info("partition %s is given up: %s", partition, reason.name.lower())
        self._tracker.forget(self._parts.hub, partition)
        reader = stay.reader
        try:
            async with asyncio.timeout(CLOSING_S):
                if reason is CloseReason.SHUTDOWN and reader.is_sound:
                    await self._settle(context, stay, checkpoint_every_s=0)
                await reader.retries.run(reader.close)
        except TimeoutError:
            log.warning("partition %s: what came last is left to its next reader", partition)
        except (PositionResetError, ParkingStoppedError) as error:
            log.warning("partition %s: %s", partition, error)
        except FoldCrashedError as error:
            self._crash(error)
        finally:
            reader.abandon()

    async def _fail(self, context: PartitionContext | None, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        if context is None:
            self._unbalanced = (self._parts.steady(), words)
            log.warning("partitions can't be shared out, trying again: %s", words)
        else:
            log.warning("partition %s is read anew: %s", context.partition_id, words)

    async def _take(self, context: PartitionContext, events: list[EventData]) -> None:
        stay = self._stays.get(context.partition_id)
        if stay is None:
            return
        try:
            await self._fold(context, stay, events)
        except (ReadAgainError, PositionResetError):
            raise
        except ParkingStoppedError as error:
            log.critical("nothing is folded or parked any more: %s", error)
            await _for_ever()
        except Exception as error:  # noqa: BLE001  # the process ends with it
            # The SDK would only close the partition and open it again.
            self._crash(error)
            await _for_ever()

    async def _fold(self, context: PartitionContext, stay: OwnedPartition, events: list[EventData]) -> None:
        reader = stay.reader
        if reader.held is not None:
            await self._wait_out(reader)
            raise ReadAgainError("its position was set by hand, or is well again")
        if self._parts.bound.reason:
            await _for_ever()
        if stay.misplaced:
            raise ReadAgainError("its checkpoint was beyond what is applied")
        arrival = following_events(reader.next, [position_of(event) for event in events])
        if arrival.fresh:
            fresh = [events[index] for index in arrival.fresh]
            stay.took = True
            for start in range(0, len(fresh), PORTION):
                await self._take_portion(context, stay, fresh[start : start + PORTION], events[-1])
            if reader.next > self._gaps.get(context.partition_id, (-1, ""))[0]:
                self._gaps.pop(context.partition_id, None)
        if arrival.gap is not None:
            await self._gap(context, stay, arrival.gap)
            return
        if self._parts.steady() - stay.looked_s >= self._pace.look:
            await self._look(stay)
        if self._is_due(stay, events[-1] if events else None):
            await self._settle(context, stay)

    async def _take_portion(
        self, context: PartitionContext, stay: OwnedPartition, events: list[EventData], newest: EventData
    ) -> None:
        """Fold some of what came, and settle where that is due: a slow store must not look like a standstill."""
        await stay.reader.take([record_of(event) for event in events])
        stay.last = events[-1]
        if events[-1] is not newest and self._is_due(stay, newest):
            await self._settle(context, stay)

    def _is_due(self, stay: OwnedPartition, newest: EventData | None) -> bool:
        return stay.reader.full or self._parts.steady() - stay.settled_s >= self._interval(newest)

    async def _gap(self, context: PartitionContext, stay: OwnedPartition, seen: int) -> None:
        """What came begins beyond what was to come next: it is gone by retention, the checkpoint is ahead, or the hub
        passed something over."""
        reader = stay.reader
        partition = reader.partition
        hub = await reader.ask()
        if hub.first > reader.next:
            if reader.reached.position < 0 and not stay.took:
                # Nothing was applied before: the reader begins with what there is by now.
                reader.next = hub.first
                raise ReadAgainError(f"the hub begins at {hub.first} by now")
            lost = hub.first - reader.next
            own = f"own position {reader.next - 1}, the hub holds {hub.first} to {hub.last}"
            sentence = f"{reader.place}: {lost} events were deleted before they were applied: {own}"
            if reader.is_sound:
                await self._settle(context, stay)
            reader.hold(HubMismatch(NotReadyCause.RETENTION_PASSED, sentence))
            log.error(sentence)
            return
        if not stay.took:
            log.warning("%s: saw %d first, expected %d: the checkpoint is set back", reader.place, seen, reader.next)
            await reader.retries.run(partial(self._checkpoints.rewind, partition))
            raise ReadAgainError(f"saw {seen} first, expected {reader.next}")
        sentence = f"{reader.place}: saw {seen}, expected {reader.next}, which the hub has; it is read again"
        self._gaps[partition] = (reader.next, sentence)
        log.error(sentence)
        raise ReadAgainError(f"saw {seen}, expected {reader.next}")

    async def _wait_out(self, reader: PartitionReader) -> None:
        """Return when an operator has mended what holds the partition."""
        self._tracker.forget(self._parts.hub, reader.partition)
        if reader.partition not in self._partitions:
            # Given up, it does not count as our share of partitions, so that another one is claimed in its place.
            raise ReadAgainError("the hub has no such partition")
        await reader.settle()
        mended = False
        while not mended:
            await asyncio.sleep(self._pace.look)

            async def look() -> None:
                nonlocal mended
                mended = await reader.reread()

            await reader.retries.run(look)

    async def _look(self, stay: OwnedPartition) -> None:
        """An idle partition is complete through the moment at which the hub says that it holds nothing more."""
        stay.looked_s = self._parts.steady()
        asked = self._parts.now()
        try:
            _, last = await self._parts.ask.ends(stay.reader.partition)
        except EventHubError as error:
            log.info("partition %s does not tell its end: %s", stay.reader.partition, error)
            return
        stay.reader.idle(last, asked)
        self._observe(stay.reader, last)

    async def _settle(
        self, context: PartitionContext, stay: OwnedPartition, checkpoint_every_s: float = CHECKPOINT_S
    ) -> None:
        """Write what was taken, say how far the partition is, and only then move the checkpoint: read again, events
        are found applied."""
        await stay.reader.settle()
        if stay.last is not None and self._parts.steady() - stay.marked_s >= checkpoint_every_s:
            await stay.reader.retries.run(partial(context.update_checkpoint, stay.last))
            stay.last, stay.marked_s = None, self._parts.steady()
        stay.settled_s = self._parts.steady()
        self._observe(stay.reader)

    def _interval(self, newest: EventData | None) -> float:
        """`newest` is the last event that came just now; None is a partition that held nothing more."""
        logged = None if newest is None else newest.enqueued_time
        behind = logged is not None and self._parts.now() - logged > FAR_BEHIND
        return min(LONGEST_FLUSH_S, self._pace.flush * STRETCH) if behind else self._pace.flush

    def _observe(self, reader: PartitionReader, end: int | None = None) -> None:
        if reader.held is not None:
            return
        seen = ProgressObservation(
            hub=self._parts.hub,
            partition=reader.partition,
            position=reader.noted_position,
            end=end,
            applied_enqueued_at=reader.noted_through,
        )
        self._tracker.observe(seen, self._parts.steady(), self._parts.now())

    def _crash(self, error: Exception) -> None:
        assert self._crashed is not None
        if not self._crashed.done():
            self._crashed.set_exception(error)

    async def _watch_hub(self) -> None:
        while True:
            await asyncio.sleep(self._pace.look)
            try:
                await self._look_at_hub()
                await self._look_past_writes()
            except SERVICE_ERRORS as error:
                log.info("the hub does not say how it is: %s", error)
            except Exception as error:  # noqa: BLE001  # the process ends with it
                self._crash(error)

    async def _look_past_writes(self) -> None:
        """Ask for the ends of partitions whose pump is busy with writes, which may take long: it is behind, and its
        report says by how much."""
        for stay in list(self._stays.values()):
            reader = stay.reader
            if reader.held is not None or reader.partition not in self._partitions:
                continue
            if self._parts.steady() - stay.looked_s >= 2 * self._pace.look:
                _, last = await self._parts.ask.ends(stay.reader.partition)
                if stay.reader.partition in self._stays:
                    self._observe(stay.reader, last)

    async def _look_at_hub(self) -> None:
        """Notice partitions that were added or are gone, and that the hub was made anew."""
        hub = await self._parts.ask.describe()
        if hub.partitions != self._partitions or self._gone:
            await self._parts.positions.begin(sorted(hub.partitions), hub.created_at)
            self._gone = missing_partitions(await self._parts.positions.all(), hub.partitions, self._parts.hub)
        if self._partitions and hub.partitions != self._partitions:
            log.info("the hub has other partitions: %s", ", ".join(sorted(hub.partitions)))
            self._changed.set()
        self._partitions = hub.partitions
        for stay in list(self._stays.values()):
            known = stay.reader.reached.created_at
            if stay.reader.held is None and known is not None and not same_hub(known, hub.created_at):
                with suppress(EventHubError):
                    await stay.reader.look_at_hub()


async def _for_ever() -> None:
    """Until cancelled: the partition stays in our hands, and nobody folds it."""
    await asyncio.Event().wait()
