"""The facts that the doctor gathers: the outcome of every check, as values."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from songline.doctor.identity import IdentityFacts
from songline.processes.entities import QueueDeclaration
from songline.schemas.erasures import Erasure
from songline.schemas.progress_report import ProgressReport
from songline.schemas.projections import LiveVersionDocument, MigrationDocument, VersionDocument, container_of


class FailedQuestion(Struct, frozen=True):
    """A check that got no answer, and why."""

    reason: str


class MissingEntity(Struct, frozen=True):
    """An entity that doesn't exist."""


class StoredContainer(Struct, frozen=True):
    """A container as it exists: its partition key path, its indexed paths, and its time to live in seconds, or None."""

    partition_key: str
    indexed: tuple[str, ...]
    ttl: int | None = None


class DeadLetterFacts(Struct, frozen=True):
    """The number of dead letters in a queue. With `more`, there may be more than were peeked."""

    count: int
    more: bool


class LibraryVersionFacts(Struct, frozen=True):
    """The live version of the libraries, None where no worker has made one; the conversion of the former version's,
    None where none was begun; and whether the container of the former version is there, with libraries in it."""

    live: LiveVersionDocument | None
    migration: MigrationDocument | None
    has_former: bool


class VersionFacts(Struct, frozen=True):
    """The live version of each projection, by name, where that is known; what is wrong where it isn't (`damaged`); the
    `others`; all as of `now`."""

    live: Mapping[str, int]
    damaged: tuple[str, ...]
    others: tuple[VersionDocument, ...]
    now: datetime

    @property
    def dropped(self) -> frozenset[str]:
        """The containers of versions that were dropped."""
        return frozenset(container_of(one.projection, one.version) for one in self.others if one.state == "dropped")


class ErasureFacts(Struct, frozen=True):
    """The erasures that wait or run, the ids of documents beside them that are none (`foreign`), all as of `now`."""

    open: tuple[Erasure, ...]
    foreign: tuple[str, ...]
    now: datetime


class ShelfFacts(Struct, frozen=True):
    """How much the container of shelves holds, in KB, and over how many shelves of the live version it is spread.

    `largest`: partition keys that the service names for their size, with their KB. Azure names some; none is named by
    an emulator.
    """

    total_kb: int
    shelves: int
    largest: Mapping[str, int]


class ArchiveFacts(Struct, frozen=True):
    """What is known of the archive.

    `is_there`: whether the `container` is, `can_capture` whether the hub's service has Capture at all. `files` and
    `size_bytes` are of all partitions, `day_files` and `day_bytes` of the last 24 hours. Of the `looked_at` files that
    were looked at: `holes` and `damages` as sentences. `waiting`: how many of the hub's events are in no file, the
    oldest of them for `oldest_s` seconds; None where none waits.
    """

    container: str
    is_there: bool
    can_capture: bool
    files: int = 0
    size_bytes: int = 0
    day_files: int = 0
    day_bytes: int = 0
    looked_at: int = 0
    holes: tuple[str, ...] = ()
    damages: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    waiting: int = 0
    oldest_s: float | None = None


class DoctorFacts(Struct, frozen=True, kw_only=True):
    """Everything that the doctor knows about a system.

    - `hubs`: the number of partitions by hub, over AMQP. `topics`: the same over Kafka, for every hub of the namespace.
    - `behind`: the number of events that the trending worker's group has not read.
    - `versions`: the live version of the libraries, and what an upgrade has left to do.
    - `shelves`: the size of the libraries' shelves; None while there are none.
    - `dead_letters`: those of the queue of commands, over AMQP. `queue`: its settings, over the management endpoint;
      None without one.
    - `parked`: the number of parked records that were neither sent again nor discarded.
    - `blobs`: whether a blob container exists, by name. `archive`: see ArchiveFacts; None where it was not asked for.
    - `health`: by service, a worker's report, else "" if it is healthy, else the reason; None without an address.
    - `options`: the settings of the trending worker's Kafka clients.
    - `identity`: see IdentityFacts; None where it was not asked for.
    - `sign_in`: whom Entra takes this process for, in words; None where keys open all services.
    - `skew`: the seconds by which this machine's clock is ahead of the service's.
    """

    hubs: Mapping[str, int | MissingEntity] | FailedQuestion
    topics: Mapping[str, int] | FailedQuestion
    behind: int | FailedQuestion
    containers: Mapping[str, StoredContainer | MissingEntity] | MissingEntity | FailedQuestion
    versions: LibraryVersionFacts | FailedQuestion
    states: VersionFacts | FailedQuestion | None = None
    erasures: ErasureFacts | FailedQuestion | None = None
    shelves: ShelfFacts | FailedQuestion | None = None
    dead_letters: DeadLetterFacts | MissingEntity | FailedQuestion
    parked: int | MissingEntity | FailedQuestion
    queue: QueueDeclaration | FailedQuestion | None
    blobs: Mapping[str, bool] | FailedQuestion
    archive: ArchiveFacts | FailedQuestion | None = None
    health: Mapping[str, ProgressReport | str | None]
    options: Mapping[str, int | None] | FailedQuestion
    identity: IdentityFacts | None = None
    sign_in: str | FailedQuestion | None = None
    skew: float | FailedQuestion
