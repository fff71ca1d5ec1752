"""The pump of a projection: the SDK gives this worker partitions, and a PartitionReader processes each of them."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial

from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

from songline.cloud.concurrency import end_task
from songline.processors.runtime.checkpoints import BEGINNING
from songline.processors.runtime.event_data import position_of, record_of
from songline.processors.runtime.gap_detection import following_events
from songline.processors.runtime.hub_watch import HubWatch
from songline.processors.runtime.owned_partition import OwnedPartition
from songline.processors.runtime.partition_processor import FoldCrashedError, ParkingStoppedError, ReadAgainError
from songline.processors.runtime.partition_reader import PartitionReader, ReaderDependencies
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.progress import ObservedEnd, ProgressBounds, ProgressObservation, ProgressTracker
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.runtime.resume_point import HubMismatch
from songline.processors.runtime.watermark_store import PositionResetError
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, not_ready

log = logging.getLogger(__name__)

BATCH = 2_000
"""Events that the SDK gives in one call, at most. A piece is never larger (`attempts.py`)."""

PORTION = 100
"""Events that are processed before it is checked whether a commit is due. Where they are folded in pieces, each of
which is committed, the whole batch is given, so that pieces grow."""

FAR_BEHIND = timedelta(seconds=10)
"""Behind events of this age, a projection may be flushed less often."""

CHECKPOINT_S = 5.0
CHECKPOINT_EVENTS = 1_000
LONGEST_CHECKPOINT_S = 7.0
"""A partition gets a checkpoint after CHECKPOINT_S seconds in which so many events were applied, or after
LONGEST_CHECKPOINT_S. Scalers take what is behind it for a backlog: with the longest pause between commits it is ten
seconds old at most. What is applied is in the watermark, which every commit writes: the next reader goes on from that.
"""

FEW_EVENTS = 1_000
FEW_CHECKPOINT_S = 30.0
"""Where a reader has so few events behind the checkpoints of all its partitions, these are so old at most: a scaler,
which wants a replica for each 5,000 events, takes them for none."""

CLOSING_S = 8.0
"""How long the end of a partition may take: a worker that is told to stop has ten seconds."""


class HubReader:
    """Processes the partitions that `client` gets.

    `client` mends its connections. `shared.metadata` fails soon where the hub is away. `begun` has the positions behind
    which the SDK began to read, by partition. `new_id` makes names that no other stay has. `behind_flush_s`: far
    behind, events are held for so long.
    """

    def __init__(
        self,
        client: EventHubConsumerClient,
        shared: ReaderDependencies,
        config: ProjectionConfig,
        begun: Mapping[str, int],
        new_id: Callable[[], str],
        behind_flush_s: float = 0.0,
    ) -> None:
        self._client = client
        self._shared = shared
        self._config = config
        self._begun = begun
        self._new_id = new_id
        self._behind_flush_s = max(config.flush_s, behind_flush_s)
        self._owned: dict[str, OwnedPartition] = {}
        self._watch = HubWatch(shared, self._owned, self._observe)
        self._beginning = PersistentRetry(f"the hub {shared.hub}", shared.steady)
        self._balancing_error: tuple[float, str] | None = None
        self._gaps: dict[str, tuple[int, str]] = {}
        self._crashed: asyncio.Future[None] | None = None
        bounds = ProgressBounds(stall_s=config.stall_s, behind_s=config.behind_s)
        self._tracker = ProgressTracker(shared.reader, bounds)

    async def run(self) -> None:
        """Read until cancelled; what was processed by then is committed. Raises FoldCrashedError."""
        self._crashed = asyncio.get_running_loop().create_future()
        await self._beginning.run(self._watch.check)
        watching = asyncio.create_task(self._watch.run(self._config.look_s, self._crash))
        try:
            while True:
                self._watch.changed.clear()
                await self._receive()
        finally:
            watching.cancel()

    def report(self, given: Iterable[NotReadyReason] = ()) -> ProgressReport:
        """How far the owned partitions are, and why the worker is not ready: the `given` reasons and its own."""
        return self._tracker.report(self._shared.steady(), self._shared.now(), [*given, *self._reasons()])

    async def _receive(self) -> None:
        """Read until the hub has other partitions, which the SDK asks for only when it begins."""
        assert self._crashed is not None
        receiving = asyncio.create_task(
            self._client.receive_batch(
                self._on_events,
                max_batch_size=BATCH,
                prefetch=BATCH,
                # The SDK calls so often when nothing comes: what waits for a flush waits little longer. With the usual
                # pause it is less than that between rounds while few events come, so that each of these calls for every
                # partition, and all are committed in the same one.
                max_wait_time=self._config.flush_s / 5,
                starting_position="-1",
                on_error=self._on_error,
                on_partition_initialize=self._on_open,
                on_partition_close=self._on_close,
            )
        )
        changed = asyncio.create_task(self._watch.changed.wait())
        try:
            await asyncio.wait((receiving, changed, self._crashed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            await end_task(receiving)
        if self._crashed.done():
            self._crashed.result()

    def _reasons(self) -> Iterable[NotReadyReason]:
        worker, hub = self._shared.reader, self._shared.hub
        if self._shared.bound.reason:
            sentence = f"nothing is folded or parked any more: {self._shared.bound.reason}"
            yield not_ready(worker, NotReadyCause.TOO_MANY_PARKED, sentence)
        if (failing_s := self._beginning.failing_for_s()) >= self._config.stall_s:
            sentence = f"reading can't begin for {failing_s:.0f} s: {self._beginning.trouble}"
            yield not_ready(worker, self._beginning.cause, sentence, hub=hub)
        for partition, owned in self._owned.items():
            reader = owned.reader
            if partition not in self._watch.partitions:
                continue
            if reader.mismatch is not None:
                yield not_ready(worker, reader.mismatch.cause, reader.mismatch.sentence, hub=hub, partition=partition)
            elif (failing_s := reader.retries.failing_for_s()) >= self._config.stall_s:
                sentence = f"partition {partition} can't be applied for {failing_s:.0f} s: {reader.retries.trouble}"
                yield not_ready(worker, reader.retries.cause, sentence, hub=hub, partition=partition)
        for partition, why in self._watch.missing.items():
            yield not_ready(worker, why.cause, why.sentence, hub=hub, partition=partition)
        for partition, (_, sentence) in self._gaps.items():
            yield not_ready(worker, NotReadyCause.STANDS_STILL, sentence, hub=hub, partition=partition)
        if self._balancing_error is not None:
            failed_s, error = self._balancing_error
            if self._shared.steady() - failed_s < 2 * self._config.balance_s:
                sentence = f"partitions can't be shared out: {error}"
                yield not_ready(worker, NotReadyCause.PARTITIONS_MOVING, sentence)

    async def _on_open(self, context: PartitionContext) -> None:
        """Begin to resume. The SDK opens its link once this returns, which takes as long and needs none of it."""
        partition = context.partition_id
        owned = self._owned[partition] = OwnedPartition(PartitionReader(partition, self._new_id(), self._shared))
        owned.resuming = asyncio.create_task(self._resume(owned), name=f"resume partition {partition}")

    async def _resume(self, owned: OwnedPartition) -> None:
        """Go on from the watermark: the checkpoint may be behind it."""
        reader = owned.reader
        if reader.partition in self._watch.partitions:
            await reader.retries.run(reader.resume)
        else:
            # The SDK also claims partitions that were owned once.
            sentence = f"{reader.place}: the hub has no such partition"
            reader.mismatch = HubMismatch(NotReadyCause.HUB_MADE_ANEW, sentence)
        if reader.mismatch is not None:
            log.error("%s: nothing of it is folded", reader.mismatch.sentence)
        else:
            log.info("partition %s is ours, applied up to %d", reader.partition, reader.watermark.position)
            # An operator may have set the watermark back after the SDK had been told where to begin.
            owned.is_misplaced = self._begun.get(reader.partition, BEGINNING) > reader.watermark.position
        # What has come meanwhile is read before the first flush, which is as slow for a hundred events as for all.
        owned.committed_s = self._shared.steady()
        self._observe(reader)

    async def _on_close(self, context: PartitionContext, reason: CloseReason) -> None:
        partition = context.partition_id
        owned = self._owned.pop(partition)
        log.info("partition %s is given up: %s", partition, reason.name.lower())
        self._tracker.forget(self._shared.hub, partition)
        reader = owned.reader
        try:
            async with asyncio.timeout(CLOSING_S):
                await owned.end_resuming()
                if reason is CloseReason.SHUTDOWN and reader.can_commit:
                    await self._commit(context, owned, checkpoints=True)
                await reader.retries.run(reader.close)
        except TimeoutError:
            log.warning("partition %s: its next reader processes again what came last", partition)
        except (PositionResetError, ParkingStoppedError) as error:
            log.warning("partition %s: %s", partition, error)
        except FoldCrashedError as error:
            self._crash(error)
        finally:
            reader.abandon()

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        if context is None:
            self._balancing_error = (self._shared.steady(), line)
            log.warning("partitions can't be shared out, trying again: %s", line)
        else:
            log.warning("partition %s is read anew: %s", context.partition_id, line)

    async def _on_events(self, context: PartitionContext, events: list[EventData]) -> None:
        owned = self._owned.get(context.partition_id)
        if owned is None:
            return
        try:
            await owned.resumed()
            await self._process(context, owned, events)
        except (ReadAgainError, PositionResetError):
            raise
        except ParkingStoppedError as error:
            log.critical("nothing is folded or parked any more: %s", error)
            await _wait_for_ever()
        except Exception as error:  # noqa: BLE001  # the process ends with it
            # Raised, the SDK would only close the partition and open it again.
            self._crash(error)
            await _wait_for_ever()

    async def _process(self, context: PartitionContext, owned: OwnedPartition, events: list[EventData]) -> None:
        reader = owned.reader
        if reader.mismatch is not None:
            await self._wait_until_mended(reader)
            raise ReadAgainError("its position was set by hand, or the hub fits it again")
        if self._shared.bound.reason:
            await _wait_for_ever()
        if owned.is_misplaced:
            raise ReadAgainError("reading began beyond what is applied")
        records = [record_of(event) for event in events]
        newest_at = records[-1].enqueued_at if records else None
        found = following_events(reader.next_position, [record.position for record in records])
        if found.fresh:
            owned.has_processed = True
            size = len(found.fresh) if reader.folds_in_pieces else PORTION
            for start in range(0, len(found.fresh), size):
                portion = found.fresh[start : start + size]
                await reader.process([records[index] for index in portion])
                owned.last_event = events[portion[-1]]
                # A slow store must not look like a standstill.
                if portion[-1] != found.fresh[-1] and self._is_commit_due(owned, newest_at):
                    await self._commit(context, owned)
            if reader.next_position > self._gaps.get(context.partition_id, (-1, ""))[0]:
                self._gaps.pop(context.partition_id, None)
        if found.gap is not None:
            await self._handle_gap(context, owned, found.gap)
            return
        if self._shared.steady() - owned.checked_s >= self._config.look_s:
            await self._check_end(owned)
        if self._is_commit_due(owned, newest_at):
            await self._commit(context, owned)

    def _is_commit_due(self, owned: OwnedPartition, newest_at: datetime | None) -> bool:
        """`newest_at` is when the last event of the batch was enqueued, None where the partition held nothing more."""
        is_behind = newest_at is not None and self._shared.now() - newest_at > FAR_BEHIND
        interval_s = self._behind_flush_s if is_behind else self._config.flush_s
        # All partitions are due in the same moment, so that their watermarks are one write.
        return owned.reader.is_full or self._shared.steady() // interval_s > owned.committed_s // interval_s

    def _is_checkpoint_due(self, owned: OwnedPartition, position: int) -> bool:
        """Whether a checkpoint at `position` is worth its request."""
        passed_s = self._shared.steady() - owned.checkpointed_s
        return is_checkpoint_due(passed_s, position - owned.checkpointed_position, len(self._owned))

    async def _handle_gap(self, context: PartitionContext, owned: OwnedPartition, seen: int) -> None:
        """The batch has `seen` where `next_position` was to come: retention deleted what is between, or the hub
        skipped events."""
        reader = owned.reader
        expected = reader.next_position
        hub = await reader.read_hub_state()
        if hub.first > expected:
            if reader.watermark.position < 0 and not owned.has_processed:
                # Nothing was applied before: the reader begins with what there is by now.
                reader.next_position = hub.first
                raise ReadAgainError(f"the hub begins at {hub.first} by now")
            lost = hub.first - expected
            own = f"own position {expected - 1}, the hub holds {hub.first} to {hub.last}"
            sentence = f"{reader.place}: {lost} events were deleted before they were applied: {own}"
            if reader.can_commit:
                await self._commit(context, owned)
            reader.mismatch = HubMismatch(NotReadyCause.RETENTION_PASSED, sentence)
            log.error(sentence)
            return
        sentence = f"{reader.place}: saw {seen}, expected {expected}, which the hub has; it is read again"
        self._gaps[reader.partition] = (expected, sentence)
        log.error(sentence)
        raise ReadAgainError(f"saw {seen}, expected {expected}")

    async def _wait_until_mended(self, reader: PartitionReader) -> None:
        """Return once an operator has mended the partition's mismatch, or the hub fits again."""
        self._tracker.forget(self._shared.hub, reader.partition)
        if reader.partition not in self._watch.partitions:
            # Given up, it does not count as our share of partitions, so that another one is claimed in its place.
            raise ReadAgainError("the hub has no such partition")
        await reader.commit()
        mended = False

        async def check() -> None:
            nonlocal mended
            mended = await reader.is_mended()

        while not mended:
            await asyncio.sleep(self._config.look_s)
            await reader.retries.run(check)

    async def _check_end(self, owned: OwnedPartition) -> None:
        """Ask for the partition's end: an idle partition is complete through the moment of the question."""
        owned.checked_s = self._shared.steady()
        asked_at = self._shared.now()
        try:
            _, last = await self._shared.metadata.read_ends(owned.reader.partition)
        except EventHubError as error:
            log.info("partition %s does not say where it ends: %s", owned.reader.partition, error)
            return
        owned.reader.record_end(last, asked_at)
        self._observe(owned.reader, ObservedEnd(last, asked_at))

    async def _commit(self, context: PartitionContext, owned: OwnedPartition, *, checkpoints: bool = False) -> None:
        """Write what was processed and the watermark, and only then move the checkpoint, if that is due or wanted by
        `checkpoints`: events that are read again are found applied."""
        await owned.reader.commit()
        last = owned.last_event
        if last is not None and (checkpoints or self._is_checkpoint_due(owned, position_of(last))):
            await owned.reader.retries.run(partial(context.update_checkpoint, last))
            owned.last_event, owned.checkpointed_s = None, self._shared.steady()
            owned.checkpointed_position = position_of(last)
        owned.committed_s = self._shared.steady()
        self._observe(owned.reader)

    def _observe(self, reader: PartitionReader, end: ObservedEnd | None = None) -> None:
        if reader.mismatch is not None:
            return
        seen = ProgressObservation(
            hub=self._shared.hub,
            partition=reader.partition,
            position=reader.written_position,
            end=end,
            applied_enqueued_at=reader.written_through,
        )
        self._tracker.observe(seen, self._shared.steady(), self._shared.now())

    def _crash(self, error: Exception) -> None:
        assert self._crashed is not None
        if not self._crashed.done():
            self._crashed.set_exception(error)


def is_checkpoint_due(passed_s: float, events: int, partitions: int) -> bool:
    """Whether a checkpoint is due of a partition, one of so many of its reader, in which so many events were applied
    since the last one."""
    if events * partitions < FEW_EVENTS:
        return passed_s >= FEW_CHECKPOINT_S
    return passed_s >= LONGEST_CHECKPOINT_S or (passed_s >= CHECKPOINT_S and events >= CHECKPOINT_EVENTS)


async def _wait_for_ever() -> None:
    """Wait until cancelled: the partition stays owned, and nobody folds it."""
    await asyncio.Event().wait()
