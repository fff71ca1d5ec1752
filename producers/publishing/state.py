"""The states of a publisher, its spillover and its partitions' senders, their transitions, and the values they share.

`publisher_state` and `partition_queue` hold these states and decide; the drivers (publisher, partition senders,
spillover) carry out the `Effects`. None of the three has a clock, a disk or a network: moments come in as monotonic
seconds. The transitions are drawn in docs/publishing.md.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypeVar

from msgspec import Struct

Outcome: TypeAlias = Literal["sent", "kept"]
"""Where an accepted event is: in the hub, or in the outbox, from which it will be sent."""

_S = TypeVar("_S", bound=StrEnum)


class PublisherPhase(StrEnum):
    """Whether a publisher takes events."""

    NEW = "new"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class SpilloverMode(StrEnum):
    """Where an accepted event goes: to its partition's queue, to the outbox, or into memory until the last load of the
    outbox is sent."""

    DIRECT = "direct"
    SPILLING = "spilling"
    DRAINING = "draining"


class SenderState(StrEnum):
    """What one partition's sender does. Only `sending` and `paused` have a batch in flight."""

    IDLE = "idle"
    GATHERING = "gathering"
    SENDING = "sending"
    PAUSED = "paused"
    ENDED = "ended"


PUBLISHER_TRANSITIONS: Mapping[tuple[PublisherPhase, str], PublisherPhase] = {
    (PublisherPhase.NEW, "open"): PublisherPhase.OPENING,
    (PublisherPhase.OPENING, "opened"): PublisherPhase.OPEN,
    (PublisherPhase.OPENING, "open failed"): PublisherPhase.CLOSED,
    (PublisherPhase.OPEN, "close"): PublisherPhase.CLOSING,
    (PublisherPhase.CLOSING, "closed"): PublisherPhase.CLOSED,
}
SPILLOVER_TRANSITIONS: Mapping[tuple[SpilloverMode, str], SpilloverMode] = {
    (SpilloverMode.DIRECT, "hub away"): SpilloverMode.SPILLING,
    (SpilloverMode.DIRECT, "waited too long"): SpilloverMode.SPILLING,
    (SpilloverMode.DIRECT, "outbox not empty"): SpilloverMode.SPILLING,
    (SpilloverMode.DIRECT, "close"): SpilloverMode.SPILLING,
    (SpilloverMode.SPILLING, "last load"): SpilloverMode.DRAINING,
    (SpilloverMode.SPILLING, "outbox empty"): SpilloverMode.DIRECT,
    (SpilloverMode.DRAINING, "full load"): SpilloverMode.SPILLING,
    (SpilloverMode.DRAINING, "hub away"): SpilloverMode.SPILLING,
    (SpilloverMode.DRAINING, "waited too long"): SpilloverMode.SPILLING,
    (SpilloverMode.DRAINING, "close"): SpilloverMode.SPILLING,
    (SpilloverMode.DRAINING, "outbox empty"): SpilloverMode.DIRECT,
}
SENDER_TRANSITIONS: Mapping[tuple[SenderState, str], SenderState] = {
    (SenderState.IDLE, "event"): SenderState.GATHERING,
    (SenderState.IDLE, "close"): SenderState.ENDED,
    (SenderState.GATHERING, "batch"): SenderState.SENDING,
    (SenderState.GATHERING, "nothing fits"): SenderState.IDLE,
    (SenderState.SENDING, "acknowledged"): SenderState.IDLE,
    (SenderState.SENDING, "failed"): SenderState.PAUSED,
    (SenderState.SENDING, "given up"): SenderState.IDLE,
    (SenderState.PAUSED, "pause over"): SenderState.SENDING,
    (SenderState.IDLE, "cancelled"): SenderState.ENDED,
    (SenderState.GATHERING, "cancelled"): SenderState.ENDED,
    (SenderState.SENDING, "cancelled"): SenderState.ENDED,
    (SenderState.PAUSED, "cancelled"): SenderState.ENDED,
}


class QueuedEvent(Struct, eq=False):
    """An event between its acceptance and its end; `since` is when it was handed in.

    `reply` is what the publisher answers by, None once that is done. `copy` says whether the outbox has it: from
    `writing` on it has room there and is tried without end, and `number` is the outbox's. An event that is `given_up`
    is not sent, unless it is in flight already. `at_hub` is what became of it there: `sent`, or an error.
    """

    body: bytes
    partition_key: str
    since: float
    reply: Any = None
    copy: Literal["none", "writing", "stored"] = "none"
    number: int = 0
    is_queued: bool = False
    given_up: bool = False
    at_hub: Literal["sent"] | Exception | None = None


class PublishCounts(Struct):
    """What a publisher has done so far. `retries` counts batches that were tried again."""

    accepted: int = 0
    sent: int = 0
    failed: int = 0
    batches: int = 0
    bytes: int = 0
    retries: int = 0


class BatchConfig(Struct, frozen=True, kw_only=True):
    """When a batch goes: it has `events`, or `bytes` (what the link takes), or its oldest event waited `linger_s`.

    `patience_s` is for how long an event is tried before it fails, unless the outbox has it.
    """

    events: int
    bytes: int
    linger_s: float
    patience_s: float


class Effects(Struct, frozen=True):
    """What the drivers carry out: `answers` are replies with an outcome or an error, `released` places in the buffer.

    `entered` is the spillover's mode where it changed.
    """

    answers: Sequence[tuple[Any, Outcome | Exception]] = ()
    released: int = 0
    wake_senders: Collection[str] = ()
    wake_writer: bool = False
    wake_replay: bool = False
    entered: SpilloverMode | None = None


class ReplayStep(Struct, frozen=True):
    """What the outbox's replay does next: `wait`, `read` behind the number `after`, `delete` up to and with `through`,
    `drain` (go on without the outbox), or `end`."""

    do: Literal["wait", "read", "delete", "drain", "end"]
    after: int = 0
    through: int = 0


NOTHING = Effects()
WAIT, END, DRAIN = ReplayStep("wait"), ReplayStep("end"), ReplayStep("drain")


def moved(table: Mapping[tuple[_S, str], _S], state: _S, trigger: str) -> _S:
    """The state behind `state` by `trigger`; raises AssertionError where the table has no such transition."""
    after = table.get((state, trigger))
    if after is None:
        raise AssertionError(f"{state}: saw {trigger!r}, expected one of {[each for at, each in table if at is state]}")
    return after
