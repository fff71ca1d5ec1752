"""The corners of the spillover that random steps seldom reach."""

from math import inf

from songline.producers.publishing.errors import TransientError
from songline.producers.publishing.outbox_room import OutboxRoom
from songline.producers.publishing.publisher_state import PublisherState
from songline.producers.publishing.state import BatchConfig, QueuedEvent, ReplayStep, SpilloverMode

CONFIG = BatchConfig(events=2, bytes=1_000, linger_s=0.0, patience_s=60.0)
AWAY = TransientError("the hub is away")


def opened(room: OutboxRoom) -> PublisherState:
    state = PublisherState(load_events=2)
    state.open()
    state.connected(["0"], lambda key: "0", CONFIG)
    state.opened(room)
    return state


def accept(state: PublisherState, *names: str) -> None:
    for name in names:
        state.accept(QueuedEvent(name.encode(), "user", 0.0, reply=name))


def write(state: PublisherState, last: int) -> list[bytes]:
    written = [event.body for event in state.next_write()]
    state.written(last)
    return written


def send(state: PublisherState) -> None:
    state.fill("0", lambda event: True)
    state.acknowledged("0")


def stored(number: int, name: str) -> QueuedEvent:
    return QueuedEvent(name.encode(), "user", 0.0, copy="stored", number=number)


def test_what_is_held_is_written_when_another_full_load_comes() -> None:
    room = OutboxRoom("tests", 100, 1_000)
    room.reserve("user", b"before")
    state = opened(room)
    accept(state, "a", "b")
    state.loaded([stored(1, "before")])
    accept(state, "held")
    assert write(state, 3) == [b"a", b"b"]
    send(state)
    assert state.next_replay_step() == ReplayStep("delete", through=1)
    state.deleted()
    state.loaded([stored(2, "a"), stored(3, "b")])
    accept(state, "after")
    assert state.mode is SpilloverMode.SPILLING
    assert write(state, 5) == [b"held", b"after"]


def test_what_is_written_late_deletes_nothing_that_is_before_it() -> None:
    room = OutboxRoom("tests", 2, 1_000)
    state = opened(room)
    accept(state, "a", "b", "roomless")
    state.fill("0", lambda event: True)
    state.failed("0", AWAY, True, 1.0)
    assert write(state, 2) == [b"a", b"b"]
    state.resume("0")
    state.acknowledged("0")
    assert state.next_replay_step() == ReplayStep("delete", through=2)
    state.deleted()
    for name in (b"a", b"b"):
        room.give_back("user", name)
    accept(state, "waiting")
    assert write(state, 3) == [b"waiting"]
    state.close(inf)
    state.store_rest()
    assert write(state, 4) == [b"roomless"]
    send(state)
    state.closed()
    # The hub has number 4, and has not number 3.
    assert state.next_replay_step().do == "end"
