"""A publisher's accepted events, and what is done with them next: pure, and the one place that decides it.

Each method takes what happened and returns the `Effects` that the drivers carry out. An accepted event is in a
partition's queue, about to be written to the outbox, held in memory, in the outbox, or in the hub; it is answered once.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, Literal

from songline.producers.publishing.errors import OutboxFullError, TransientError
from songline.producers.publishing.outbox_room import OutboxRoom
from songline.producers.publishing.partition_queue import PartitionQueue
from songline.producers.publishing.state import (
    DRAIN,
    END,
    NOTHING,
    PUBLISHER_TRANSITIONS,
    SPILLOVER_TRANSITIONS,
    WAIT,
    BatchConfig,
    Effects,
    Outcome,
    PublishCounts,
    PublisherPhase,
    QueuedEvent,
    ReplayStep,
    SpilloverMode,
    moved,
)


class PublisherState:
    """The phase of a publisher, the mode of its spillover, and the queues of its partitions.

    It is for one opening of the publisher, whose `counts` it goes on with. `load_events` is how many events of the
    outbox are sent at a time; a smaller load is the last one.
    """

    def __init__(self, counts: PublishCounts | None = None, load_events: int = 4_000) -> None:
        self.phase, self.mode = PublisherPhase.NEW, SpilloverMode.DIRECT
        self.counts = PublishCounts() if counts is None else counts
        self.queues: dict[str, PartitionQueue] = {}
        self.load_events = load_events
        self._room: OutboxRoom | None = None
        self._partition_of: Callable[[str], str]
        self._wakes: dict[str, Effects] = {}
        self._to_write: list[QueuedEvent] = []
        self._appending: list[QueuedEvent] = []
        self._held: list[QueuedEvent] = []
        # The outbox's first events, which are in the queues at the same time, and how many such events there are.
        self._replayed: list[QueuedEvent] = []
        self._unsettled = 0
        self._stored = 0
        self._deleted_through = 0

    # Opening and closing

    def open(self) -> None:
        self._enter_phase("open")

    def open_failed(self) -> None:
        self._enter_phase("open failed")

    def connected(self, partitions: Iterable[str], partition_of: Callable[[str], str], config: BatchConfig) -> Effects:
        """The hub is reached, and has these partitions; `partition_of` is where the events of a key go."""
        self._partition_of = partition_of
        self.queues = {partition: PartitionQueue(partition, config) for partition in partitions}
        self._wakes = {partition: Effects(wake_senders=(partition,)) for partition in self.queues}
        return Effects(wake_replay=True)

    def opened(self, room: OutboxRoom | None = None) -> Effects:
        """The publisher takes events; with an outbox, `room` is what that may hold, and has."""
        self._enter_phase("opened")
        self._room = room
        if room is None:
            return NOTHING
        self._stored = room.events
        self.counts.accepted += room.events
        if self._stored:
            return self._enter("outbox not empty")
        return NOTHING if self.queues else self._enter("hub away")

    @property
    def is_open(self) -> bool:
        return self.phase is PublisherPhase.OPEN

    def close(self, deadline: float) -> Effects:
        """Take no more events, linger no more, read nothing more of the outbox; give up at `deadline`."""
        self._enter_phase("close")
        return self.give_up(deadline)

    def store_rest(self) -> Effects:
        """Put what the hub has not taken into the outbox, if there is one."""
        if self._room is None:
            return NOTHING
        entered = None
        if self.mode is not SpilloverMode.DRAINING and any(queue.unkept() for queue in self.queues.values()):
            self._spill()
            if self.mode is SpilloverMode.DIRECT:
                entered = self._enter("close").entered
        elif self.mode is SpilloverMode.DRAINING:
            self._spill()
            self._write_held("close")
        return Effects(wake_writer=True, wake_replay=True, entered=entered)

    def give_up(self, deadline: float) -> Effects:
        """Give up at `deadline` what could not be sent by then; what the outbox has stays there."""
        for queue in self.queues.values():
            queue.close(deadline)
        return Effects(wake_senders=tuple(self.queues))

    def closed(self) -> Effects:
        """The senders have ended: only what was sent is still to be deleted from the outbox."""
        self._enter_phase("closed")
        return Effects(wake_replay=True)

    # Senders

    def accept(self, event: QueuedEvent) -> Effects:
        """Take an event, for which the buffer has a place.

        Raises OutboxFullError, and RuntimeError unless the publisher is open.
        """
        if not self.is_open:
            raise RuntimeError("the publisher is not open: publish inside its `async with` block")
        effects = NOTHING
        if self.mode is SpilloverMode.DIRECT:
            effects = self._enqueue(event)
        else:
            self._reserve(event)
            if self.mode is SpilloverMode.DRAINING:
                self._held.append(event)
            else:
                self._to_write.append(event)
                effects = Effects(wake_writer=True)
        self.counts.accepted += 1
        return effects

    def fill(self, partition: str, fits: Callable[[QueuedEvent], bool]) -> Effects:
        """Begin a batch of `partition` with as much as `fits`."""
        dropped = self.queues[partition].fill(fits)
        if not dropped:
            return NOTHING
        answers: list[tuple[Any, Outcome | Exception]] = []
        released = sum(self._settle([event], error, answers) for event, error in dropped)
        return Effects(answers=answers, released=released, wake_replay=not self._unsettled)

    def resume(self, partition: str) -> None:
        """The batch of `partition` is tried again."""
        self.queues[partition].resume()
        self.counts.retries += 1

    def acknowledged(self, partition: str) -> Effects:
        """The hub has the batch of `partition`."""
        return self._end_batch(partition, "acknowledged", None)

    def failed(self, partition: str, failure: Exception, transient: bool, now: float) -> Effects:
        """The batch of `partition` could not be sent at `now`: it is tried again after a pause, or given up.

        It is given up where the sender's state is not `paused` then.
        """
        queue = self.queues[partition]
        if not queue.is_worth_repeating(transient, now):
            return self._end_batch(partition, "given up", failure)
        queue.fail()
        return self._spill_over("hub away")

    def cancelled(self, partition: str) -> Effects:
        """The sender of `partition` has ended before its queue was closed and empty."""
        return self._end_batch(partition, "cancelled", TransientError(f"partition {partition}: its sender ended early"))

    # Spillover

    def watch(self, before: float) -> Effects:
        """Nothing waits in memory since `before` (monotonic seconds): a send can hang without failing."""
        if self.mode is SpilloverMode.DRAINING:
            late = bool(self._held) and self._held[0].since < before
        elif self.mode is SpilloverMode.DIRECT:
            late = any(event.since < before for queue in self.queues.values() for event in queue.unkept()[:1])
        else:
            late = False
        return self._spill_over("waited too long") if late else NOTHING

    def next_write(self) -> Sequence[QueuedEvent]:
        """What is appended to the outbox next, in order."""
        self._appending, self._to_write = self._to_write, []
        return self._appending

    @property
    def is_written(self) -> bool:
        """Whether the outbox has, or has refused, all that came."""
        return not self._to_write and not self._appending

    def written(self, last: int) -> Effects:
        """The outbox has what was being appended, under numbers up to `last`."""
        appended, self._appending = self._appending, []
        answers: list[tuple[Any, Outcome | Exception]] = []
        for number, event in enumerate(appended, last - len(appended) + 1):
            event.number, event.copy = number, "stored"
            self._answer(event, "kept", answers)
        self._stored += len(appended)
        return Effects(answers=answers, released=len(appended), wake_replay=True)

    def write_failed(self, failure: OutboxFullError) -> Effects:
        """The outbox has refused what was being appended. What the hub has not taken either has failed: its sender need
        not wait to learn that."""
        assert self._room is not None
        refused, self._appending = self._appending, []
        answers: list[tuple[Any, Outcome | Exception]] = []
        released = 0
        for event in refused:
            self._room.give_back(event.partition_key, event.body)
            event.copy = "none"
            if event.is_queued:
                event.given_up = True
                self._unsettled -= 1
                self._answer(event, failure, answers)
                continue
            released += 1
            if event.at_hub == "sent":
                self._answer(event, "sent", answers)
            else:
                self.counts.failed += 1
                self._answer(event, event.at_hub or failure, answers)
        return Effects(answers=answers, released=released, wake_replay=True)

    def next_replay_step(self) -> ReplayStep:
        """What is done next with the outbox's events."""
        ends = self.phase is PublisherPhase.CLOSED
        if self.mode is SpilloverMode.DIRECT or not self.queues:
            return END if ends else WAIT
        if self._unsettled:
            return WAIT
        if sent := self._sent_first():
            return ReplayStep("delete", through=sent[-1].number)
        if ends:
            return END
        if not self.is_open:
            return WAIT
        if self._stored:
            return ReplayStep("read", after=self._deleted_through)
        return DRAIN if self.is_written else WAIT

    def deleted(self) -> None:
        """The outbox has forgotten what the last step named."""
        sent, self._replayed = self._sent_first(), []
        self._stored -= len(sent)
        self._deleted_through = sent[-1].number

    def loaded(self, load: Sequence[QueuedEvent]) -> Effects:
        """The outbox has given its first events, which are sent now. New events wait in memory while the last load is
        on its way: so the spillover ends under load too."""
        if not self.is_open:
            return NOTHING
        is_full = len(load) >= self.load_events
        if is_full and self.mode is SpilloverMode.DRAINING:
            # More was about to be written than a load: what is held must not wait for all of it.
            self._write_held("full load")
        elif not is_full and self.mode is SpilloverMode.SPILLING:
            self._enter("last load")
        self._replayed = list(load)
        self._unsettled += len(load)
        return Effects(wake_senders={self._put(event) for event in load}, wake_writer=True)

    def drained(self) -> Effects:
        """Nothing is in the outbox or about to be: what is held follows in the queues."""
        assert self._room is not None
        held, self._held, self._replayed = self._held, [], []
        for event in held:
            self._room.give_back(event.partition_key, event.body)
            event.copy = "none"
        woken = {self._put(event) for event in held}
        return Effects(wake_senders=woken, entered=self._enter("outbox empty").entered)

    # What the above share

    def _spill_over(self, trigger: str) -> Effects:
        if self._room is None or self.mode is SpilloverMode.SPILLING:
            return NOTHING
        if self.mode is SpilloverMode.DRAINING:
            self._write_held(trigger)
            return Effects(wake_writer=True)
        self._spill()
        return Effects(wake_writer=True, wake_replay=True, entered=self._enter(trigger).entered)

    def _spill(self) -> None:
        """Have the queues' events written too, as far as there is room.

        The others go on waiting in their queues, behind those that are written: so none of these is given up with them.
        """
        for queue in self.queues.values():
            for event in queue.unkept():
                try:
                    self._reserve(event)
                except OutboxFullError:
                    continue
                self._to_write.append(event)
                self._unsettled += 1
                # Only from here on, the outbox begins with them.
                if self.mode is SpilloverMode.DIRECT:
                    self._replayed.append(event)

    def _write_held(self, trigger: str) -> None:
        self._to_write += self._held
        self._held = []
        self._enter(trigger)

    def _reserve(self, event: QueuedEvent) -> None:
        assert self._room is not None
        self._room.reserve(event.partition_key, event.body)
        event.copy = "writing"

    def _put(self, event: QueuedEvent) -> str:
        partition = self._partition_of(event.partition_key)
        self.queues[partition].put(event)
        return partition

    def _enqueue(self, event: QueuedEvent) -> Effects:
        partition = self._partition_of(event.partition_key)
        return self._wakes[partition] if self.queues[partition].put(event) else NOTHING

    def _end_batch(self, partition: str, trigger: str, failure: Exception | None) -> Effects:
        settled = self.queues[partition].settle(trigger)
        self.counts.batches += trigger != "cancelled"
        answers: list[tuple[Any, Outcome | Exception]] = []
        released = self._settle(settled, failure, answers)
        return Effects(answers=answers, released=released, wake_replay=not self._unsettled)

    def _settle(
        self,
        events: Sequence[QueuedEvent],
        failure: Exception | None,
        answers: list[tuple[Any, Outcome | Exception]],
    ) -> int:
        """The hub has `events`, or never will; return how many leave the buffer with that."""
        outcome: Literal["sent"] | Exception = failure or "sent"
        stored = 0
        for event in events:
            event.is_queued = False
            event.at_hub = outcome
            if event.copy != "none":
                stored += 1
            elif event.reply is not None:
                answers.append((event.reply, outcome))
                event.reply = None
        self._unsettled -= stored
        released = len(events) - stored
        if failure is None:
            self.counts.sent += len(events)
            self.counts.bytes += sum([len(event.body) for event in events])
        else:
            self.counts.failed += released
        return released

    @staticmethod
    def _answer(
        event: QueuedEvent, outcome: Outcome | Exception, answers: list[tuple[Any, Outcome | Exception]]
    ) -> None:
        if event.reply is not None:
            answers.append((event.reply, outcome))
            event.reply = None

    def _sent_first(self) -> list[QueuedEvent]:
        """Of what is replayed, the events up to the first one that the hub has not."""
        stored = [event for event in self._replayed if event.copy == "stored"]
        return list(takewhile(lambda event: event.at_hub == "sent", stored))

    def _enter(self, trigger: str) -> Effects:
        self.mode = moved(SPILLOVER_TRANSITIONS, self.mode, trigger)
        return Effects(wake_replay=True, entered=self.mode)

    def _enter_phase(self, trigger: str) -> None:
        self.phase = moved(PUBLISHER_TRANSITIONS, self.phase, trigger)
