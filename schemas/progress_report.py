"""What a process serves at `/health/progress`: how far each partition is, and why it is not ready."""

from enum import StrEnum

from msgspec import Struct

from songline.schemas.decoding import Decoder
from songline.schemas.types import Moment


class NotReadyCause(StrEnum):
    """Every cause for which a process is not ready. `docs/operations.md` lists each with what mends it."""

    STARTING = "starting"
    CONVERTING = "converting"
    SERVICE_AWAY = "service-away"
    ACCESS_DENIED = "access-denied"
    PARTITIONS_MOVING = "partitions-moving"
    STANDS_STILL = "stands-still"
    FAR_BEHIND = "far-behind"
    END_UNKNOWN = "end-unknown"
    WRITES_REFUSED = "writes-refused"
    HUB_MADE_ANEW = "hub-made-anew"
    BEYOND_END = "beyond-end"
    RETENTION_PASSED = "retention-passed"
    TOO_MANY_PARKED = "too-many-parked"
    PARTITIONS_ADDED = "partitions-added"
    CLOCK_AHEAD = "clock-ahead"
    NOT_ANSWERING = "not-answering"
    VERSION_UNKNOWN = "version-unknown"


_RESET = "songline checkpoints reset {worker}"
_LOOK = "songline doctor"
MENDS: dict[NotReadyCause, str] = {
    NotReadyCause.STARTING: _LOOK,
    NotReadyCause.CONVERTING: "wait until it is done; it goes on where it was after a restart",
    NotReadyCause.SERVICE_AWAY: _LOOK,
    NotReadyCause.ACCESS_DENIED: _LOOK,
    NotReadyCause.PARTITIONS_MOVING: "wait for two minutes; then restart the {worker} worker",
    NotReadyCause.STANDS_STILL: "restart the {worker} worker (`songline up` does)",
    NotReadyCause.FAR_BEHIND: "wait while it catches up, or run another {worker} worker",
    NotReadyCause.END_UNKNOWN: _LOOK,
    NotReadyCause.WRITES_REFUSED: _LOOK,
    NotReadyCause.HUB_MADE_ANEW: _RESET,
    NotReadyCause.BEYOND_END: _RESET,
    NotReadyCause.RETENTION_PASSED: _RESET,
    NotReadyCause.TOO_MANY_PARKED: "songline parked list --reader {worker}",
    NotReadyCause.PARTITIONS_ADDED: _LOOK,
    NotReadyCause.CLOCK_AHEAD: "timedatectl set-ntp true",
    NotReadyCause.NOT_ANSWERING: "restart the {worker} worker (`songline up` does)",
    NotReadyCause.VERSION_UNKNOWN: "songline projection list",
}
"""What mends each cause: a command, or what to do where there is none. `{worker}` is the worker's name."""


def widened(hub: str, partitions: int) -> str:
    """The command that grows a hub to so many partitions, on Azure and on one machine."""
    return (
        f"`az eventhubs eventhub update -g GROUP --namespace-name NAMESPACE --name {hub} --partition-count "
        f"{partitions}` (in a tier whose hubs can grow); on this machine raise its PartitionCount in "
        "infra/emulators/eventhubs/Config.json"
    )


class NotReadyReason(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a process is not ready: a `sentence` for the operator, and the command that `mend`s it. `hub` and
    `partition` are None where the cause is not that of a partition."""

    cause: NotReadyCause
    sentence: str
    mend: str
    hub: str | None = None
    partition: str | None = None


class PartitionProgress(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a worker has applied a partition. None is for what is not known.

    `position` and `end`: sequence numbers of the last event that is applied and of the last in the hub, -1 for none.
    `age_seconds`: how long at most the oldest event that is not applied has waited, 0 where none waits.
    `events_per_second`: what was applied over the last half minute. `seconds_to_catch_up`: None also where it doesn't
    catch up.
    """

    hub: str
    partition: str
    position: int
    end: int | None
    events_behind: int | None
    age_seconds: float | None
    events_per_second: float | None
    seconds_to_catch_up: float | None


class ProgressReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """A process's progress at the moment `as_of`. It is ready where there are no reasons why not."""

    worker: str
    as_of: Moment
    partitions: tuple[PartitionProgress, ...] = ()
    reasons: tuple[NotReadyReason, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.reasons


_decoder = Decoder(ProgressReport, "not-a-report")


def decode(body: bytes) -> ProgressReport:
    """The report that another process served; raises PoisonError."""
    return _decoder.decode(body)


def not_ready(
    worker: str,
    cause: NotReadyCause,
    sentence: str,
    *,
    mend: str = "",
    hub: str | None = None,
    partition: str | None = None,
) -> NotReadyReason:
    """A reason with the usual `mend` of its cause unless another is given."""
    usual = MENDS[cause].format(worker=worker)
    return NotReadyReason(cause=cause, sentence=sentence, mend=mend or usual, hub=hub, partition=partition)
