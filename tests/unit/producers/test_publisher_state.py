"""The publisher's state under any sequence of events: a hub, a disk and senders of events that do what they please.

The model is a list for each partition of the hub, a list for the disk, and what each sender of an event was told.
"""

from math import inf

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct

from localcloud_tests.support.fuzzing import effort
from songline.producers.publishing.errors import OutboxFullError, TransientError
from songline.producers.publishing.outbox_room import OutboxRoom
from songline.producers.publishing.publisher_state import PublisherState
from songline.producers.publishing.state import (
    BatchConfig,
    Effects,
    Outcome,
    PublisherPhase,
    QueuedEvent,
    ReplayStep,
    SenderState,
    SpilloverMode,
)

PARTITIONS = ("0", "1")
BUFFER, OUTBOX_EVENTS, OUTBOX_BYTES, LOAD, BATCH = 8, 6, 120, 2, 2
CONFIG = BatchConfig(events=BATCH, bytes=1_000_000, linger_s=1.0, patience_s=20.0)
FAILURE = TransientError("the hub is away")
AGE = 25
"""So many steps a publisher lives at least: else few come far."""
FAILURES = ["away", "lost acknowledgement", "lasting"]


class Told(Struct, eq=False):
    """An event that was accepted, and what its sender was told."""

    number: int
    key: str
    outcome: Outcome | Exception | None = None


def partition_of(key: str) -> str:
    return PARTITIONS[ord(key) % 2]


def body_of(number: int) -> bytes:
    """Some are larger than others, so that the outbox has room for one and not for the one before it."""
    return number.to_bytes(8) + b"." * (30 if number % 3 == 0 else 0)


def number_of(event: QueuedEvent) -> int:
    return int.from_bytes(event.body[:8])


class Publishing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.hub: dict[str, list[tuple[str, int]]] = {partition: [] for partition in PARTITIONS}
        self.disk: dict[int, tuple[str, int]] = {}
        self.told: list[Told] = []
        # What was written late, when a publisher was closed; and what the outbox had no room for, although it had room
        # for what was before it.
        self.late: set[int] = set()
        self.roomless: set[int] = set()
        self.last_number = 0
        self.has_outbox = True

    @initialize(
        has_outbox=st.sampled_from([True, True, True, False]),
        is_connected=st.sampled_from([True, True, False]),
        left=st.text("abcd", max_size=OUTBOX_EVENTS),
    )
    def begin(self, has_outbox: bool, is_connected: bool, left: str) -> None:
        self.has_outbox = has_outbox
        if has_outbox:
            # What a process before this one has left.
            self.told = [Told(number, key, "kept") for number, key in enumerate(left)]
            self.append([QueuedEvent(body_of(told.number), told.key, self.now) for told in self.told])
        self.open(is_connected or not has_outbox)

    def open(self, is_connected: bool) -> None:
        self.state = PublisherState(load_events=LOAD)
        self.taken = self.age = 0
        self.alive: list[Told] = []
        self.appending: list[QueuedEvent] = []
        self.step: ReplayStep | None = None
        self.state.open()
        if is_connected:
            self.connect()
        if self.has_outbox:
            self.room = OutboxRoom("tests", OUTBOX_EVENTS, OUTBOX_BYTES)
            self.room.events = len(self.disk)
            self.room.bytes = sum(len(key) + len(body_of(number)) for key, number in self.disk.values())
            self.execute(self.state.opened(self.room))
        else:
            self.execute(self.state.opened())

    def execute(self, effects: Effects) -> None:
        for told, outcome in effects.answers:
            assert told.outcome is None, "answered twice"
            told.outcome = outcome
        self.taken -= effects.released
        assert set(effects.wake_senders) <= set(self.state.queues)

    def queue_in(self, partition: str, *states: SenderState) -> bool:
        return partition in self.state.queues and self.state.queues[partition].state in states

    # What senders of events do

    @rule(keys=st.text("abcd", min_size=1, max_size=5))
    def publish(self, keys: str) -> None:
        for key in keys:
            if self.taken == BUFFER:
                return
            number, held = len(self.told), len(self.state._held)
            told = Told(number, key)
            try:
                self.execute(self.state.accept(QueuedEvent(body_of(number), key, self.now, told)))
            except OutboxFullError:
                assert self.room.events >= OUTBOX_EVENTS or self.room.bytes > OUTBOX_BYTES - 39
                return
            self.told.append(told)
            self.alive.append(told)
            self.taken += 1
            # While the last load is sent nothing is written: so the spillover ends under load too.
            assert (len(self.state._held) > held) is (self.state.mode is SpilloverMode.DRAINING)

    # What the hub and the way to it do

    @precondition(lambda self: not self.state.queues)
    @rule()
    def connect(self) -> None:
        self.execute(self.state.connected(PARTITIONS, partition_of, CONFIG))

    @rule(partition=st.sampled_from(PARTITIONS), outcome=st.sampled_from(["acknowledged", "acknowledged", *FAILURES]))
    def step_of_sender(self, partition: str, outcome: str) -> None:
        if partition not in self.state.queues:
            return
        queue = self.state.queues[partition]
        if queue.state is SenderState.GATHERING:
            if queue.due_at() > self.now:
                assert self.now < queue.waiting[0].since + CONFIG.linger_s
                self.now = queue.due_at()
            self.execute(self.state.fill(partition, lambda event: True))
            assert len(queue.in_flight) <= BATCH
            # An event of which the sender was told that it failed is not sent.
            told = [self.told[number_of(event)].outcome for event in queue.in_flight]
            assert not any(isinstance(outcome, Exception) for outcome in told)
        elif queue.state is SenderState.PAUSED:
            self.state.resume(partition)
        elif queue.state is SenderState.SENDING:
            if outcome in ("acknowledged", "lost acknowledgement"):
                self.deliver(partition)
            if outcome == "acknowledged":
                self.execute(self.state.acknowledged(partition))
            else:
                self.execute(self.state.failed(partition, FAILURE, outcome != "lasting", self.now))

    def deliver(self, partition: str) -> None:
        for event in self.state.queues[partition].in_flight:
            assert partition_of(event.partition_key) == partition
            self.hub[partition].append((event.partition_key, number_of(event)))

    @rule(seconds=st.sampled_from([0.5, 0.5, 3.0, 30.0]))
    def watch_later(self, seconds: float) -> None:
        self.now += seconds
        self.execute(self.state.watch(self.now - 1.0))

    # What the disk does

    @rule(works=st.sampled_from([True, True, True, False]), at_once=st.booleans())
    def step_of_writer(self, works: bool, at_once: bool = True) -> None:
        if not self.appending:
            self.appending = list(self.state.next_write())
            if not at_once or not self.appending:
                return
        appended, self.appending = self.appending, []
        if works:
            self.execute(self.state.written(self.append(appended)))
        else:
            self.execute(self.state.write_failed(OutboxFullError("the disk is full")))

    def append(self, events: list[QueuedEvent]) -> int:
        for event in events:
            number = max(self.disk, default=self.last_number) + 1
            self.disk[number] = (event.partition_key, number_of(event))
            self.last_number = number
        return self.last_number

    @precondition(lambda self: self.has_outbox)
    @rule(at_once=st.booleans())
    def step_of_replay(self, at_once: bool = True) -> None:
        if self.step is None:
            step = self.state.next_replay_step()
            if step.do == "drain":
                self.execute(self.state.drained())
            elif step.do in ("read", "delete"):
                self.step = step
            if not at_once or self.step is None:
                return
        step, self.step = self.step, None
        if step.do == "delete":
            gone = [number for number in self.disk if number <= step.through]
            for number in gone:
                key, event = self.disk.pop(number)
                assert (key, event) in self.hub[partition_of(key)], "deleted, and the hub has it not"
                self.room.give_back(key, body_of(event))
            self.state.deleted()
        else:
            rows = [(number, *row) for number, row in sorted(self.disk.items()) if number > step.after][:LOAD]
            load = [
                QueuedEvent(body_of(event), key, self.now, copy="stored", number=number) for number, key, event in rows
            ]
            self.execute(self.state.loaded(load))

    # What ends a publisher

    @precondition(lambda self: self.has_outbox and self.age > AGE)
    @rule(arrived=st.booleans(), appended=st.booleans(), is_connected=st.booleans())
    def crash(self, arrived: bool, appended: bool, is_connected: bool) -> None:
        for partition, queue in self.state.queues.items():
            if arrived and queue.state is SenderState.SENDING:
                self.deliver(partition)
        if appended:
            self.append(self.appending)
        self.open(is_connected)

    @precondition(lambda self: self.age > AGE)
    @rule(reached=st.sampled_from(["", "0", "1", "01"]), is_connected=st.booleans())
    def close(self, reached: str, is_connected: bool) -> None:
        self.execute(self.state.close(inf if self.has_outbox else self.now + 1))
        assert not self.state.is_open
        self.run(20, reached)
        if self.has_outbox:
            if self.state.mode is not SpilloverMode.DIRECT:
                for queue in self.state.queues.values():
                    self.late |= {number_of(event) for event in queue.unkept()}
            self.execute(self.state.store_rest())
            while not self.state.is_written:
                self.step_of_writer(True)
            assert not self.state._held
        self.now += 2
        self.execute(self.state.give_up(self.now))
        self.run(20, reached, "away")
        assert all(queue.state is SenderState.ENDED for queue in self.state.queues.values())
        assert all(told.outcome is not None for told in self.alive), "closed, and somebody waits"
        assert self.taken == 0
        # One that the disk refused while it was in flight may have arrived all the same.
        assert self.state.counts.failed <= sum(isinstance(told.outcome, Exception) for told in self.alive)
        self.execute(self.state.closed())
        assert self.state.phase is PublisherPhase.CLOSED
        self.run(5, reached)
        assert self.state.next_replay_step().do == "end"
        self.open(is_connected or not self.has_outbox)

    @rule(
        rounds=st.integers(1, 6),
        keys=st.text("abcd", max_size=2),
        reached=st.sampled_from(["", "0", "1", "01", "01", "01"]),
        failure=st.sampled_from(["", "away", "lasting"]),
        disk=st.sampled_from([True, True, False]),
    )
    def go_on(self, rounds: int, keys: str, reached: str, failure: str, disk: bool) -> None:
        for _ in range(rounds):
            if self.taken + len(keys) <= BUFFER:
                self.publish(keys)
            self.run(1, reached, failure, disk)

    def run(self, rounds: int, reached: str = "01", otherwise: str = "", disk: bool = True) -> None:
        """All goes well for a while, with the partitions that are `reached`."""
        for _ in range(rounds):
            for partition in PARTITIONS:
                if partition in reached or otherwise:
                    self.step_of_sender(partition, "acknowledged" if partition in reached else otherwise)
            if self.has_outbox:
                self.step_of_writer(disk)
                self.step_of_replay()

    # What always holds

    def in_memory(self) -> dict[int, QueuedEvent]:
        state = self.state
        queued = [each for queue in state.queues.values() for each in (*queue.in_flight, *queue.waiting)]
        events = [*(each for each in queued if each.copy == "none"), *state._to_write, *state._appending, *state._held]
        return {id(event): event for event in events}

    @invariant()
    def grow_older(self) -> None:
        self.age += 1
        if self.state.mode is not SpilloverMode.DIRECT:
            for queue in self.state.queues.values():
                self.roomless |= {number_of(event) for event in queue.unkept()}

    @invariant()
    def nothing_accepted_is_lost(self) -> None:
        there = {number for events in self.hub.values() for _, number in events}
        on_disk = {number for _, number in self.disk.values()}
        for told in self.told:
            assert told.outcome != "sent" or told.number in there
            assert told.outcome != "kept" or told.number in there | on_disk
        waiting = {id(event.reply) for event in self.in_memory().values()}
        assert all(told.outcome is not None or id(told) in waiting for told in self.alive), "forgotten"

    @invariant()
    def each_listeners_events_are_in_order(self) -> None:
        for events in self.hub.values():
            for key in "abcd":
                numbers = [number for of, number in events if of == key and number not in self.late]
                first = list(dict.fromkeys(numbers))
                assert first == sorted(first)

    @invariant()
    def memory_and_disk_are_bounded(self) -> None:
        assert self.taken == len(self.in_memory()) <= BUFFER
        if self.has_outbox:
            state = self.state
            spilled = [*state._to_write, *state._appending, *state._held]
            assert self.room.events == len(self.disk) + len(spilled) <= OUTBOX_EVENTS

    @invariant()
    def one_batch_is_in_flight_and_only_while_it_is_sent(self) -> None:
        for queue in self.state.queues.values():
            busy = queue.state in (SenderState.SENDING, SenderState.PAUSED)
            assert bool(queue.in_flight) is busy
            assert bool(queue.waiting) or queue.state is not SenderState.GATHERING
            assert not queue.waiting or queue.state is not SenderState.IDLE

    @invariant()
    def the_disk_is_used_only_while_events_spill_over(self) -> None:
        state = self.state
        if state.mode is SpilloverMode.DIRECT:
            assert not self.disk
            assert not state._held
            assert state.is_written
        # New events wait for the replay: none is in a queue before the outbox has ended.
        assert not state._held or state.mode is SpilloverMode.DRAINING

    @invariant()
    def the_books_are_right(self) -> None:
        counts = self.state.counts
        assert counts.accepted - counts.sent - counts.failed >= 0

    def teardown(self) -> None:
        if not hasattr(self, "state"):
            return
        if not self.state.queues:
            self.connect()
        self.run(200)
        assert self.state.mode is SpilloverMode.DIRECT
        assert self.taken == 0
        assert all(told.outcome is not None for told in self.alive)
        counts = self.state.counts
        assert counts.accepted == counts.sent + counts.failed
        self.nothing_accepted_is_lost()
        self.each_listeners_events_are_in_order()
        for events in self.hub.values():
            for key in "abcd":
                # What came twice must not end in an older state.
                numbers = [number for of, number in events if of == key and number not in self.late | self.roomless]
                assert not numbers or numbers[-1] == max(numbers)


TestPublishing = Publishing.TestCase
TestPublishing.settings = effort(60, steps=80)
