"""What is the case: the outcome of every question that the doctor asks."""

from collections.abc import Mapping

from msgspec import Struct

from songline.processes.entities import QueueDeclaration
from songline.schemas.progress_report import ProgressReport


class FailedQuestion(Struct, frozen=True):
    """A question that got no answer, and why."""

    reason: str


class MissingEntity(Struct, frozen=True):
    """What was asked for is not there."""


class StoredContainer(Struct, frozen=True):
    """A container as it is: its partition key path, the paths that it indexes, and the seconds that what is not
    written again stays, None for good."""

    partition_key: str
    indexed: tuple[str, ...]
    ttl: int | None = None


class DeadLetterFacts(Struct, frozen=True):
    """What is set aside in a queue: `count` of its dead letters, and whether there are `more` than were looked at."""

    count: int
    more: bool


class DoctorFacts(Struct, frozen=True, kw_only=True):
    """`hubs`: partitions by hub, asked over AMQP. `topics`: the same over Kafka, for every hub of the namespace.
    `behind`: events that the trending worker's group has not read yet. `letters`: of the queue
    of commands, asked over AMQP; `queue`: its settings, asked of the management, None where there is none to ask.
    `parked`: records that readers passed over and that nobody has sent again or discarded. `blobs`: by blob container,
    whether it is there. `health`: by service, the report of a worker, else "" where it is well and the reason where it
    is not; None where its address is not known. `options`: the worker's Kafka client settings. `skew`: seconds that
    this machine's clock is ahead of the service's.
    """

    hubs: Mapping[str, int | MissingEntity] | FailedQuestion
    topics: Mapping[str, int] | FailedQuestion
    behind: int | FailedQuestion
    containers: Mapping[str, StoredContainer | MissingEntity] | FailedQuestion
    letters: DeadLetterFacts | MissingEntity | FailedQuestion
    parked: int | MissingEntity | FailedQuestion
    queue: QueueDeclaration | FailedQuestion | None
    blobs: Mapping[str, bool] | FailedQuestion
    health: Mapping[str, ProgressReport | str | None]
    options: Mapping[str, int | None] | FailedQuestion
    skew: float | FailedQuestion
