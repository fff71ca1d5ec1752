"""What keeps a history from being read: files that are damaged, and positions that nobody has."""

from msgspec import Struct

from songline.processors.history.archive.name_format import DEFAULT_FORMAT
from songline.schemas.channels import ARCHIVE_BLOBS, MUSIC_EVENTS

TURN_ON = (
    f"turn Capture on: `az eventhubs eventhub update -g GROUP --namespace-name NAMESPACE --name {MUSIC_EVENTS} "
    "--enable-capture true --capture-interval 60 --skip-empty-archives true --destination-name "
    f"EventHubArchive.AzureBlockBlob --storage-account ACCOUNT --blob-container {ARCHIVE_BLOBS} --archive-name-format "
    f"'{DEFAULT_FORMAT}'`, with `--mi-user-assigned IDENTITY` where the account takes no keys; localcloud captures by "
    "infra/emulators/eventhubs/localcloud.json"
)
"""What keeps every event from now on."""

LATE = "the archive begins later: Capture was turned on late, or files are missing"


class HistoryError(Exception):
    """A history can't be read. The message says what was seen, what was expected, and what to do."""


class Damage(Struct, frozen=True):
    """What is wrong with a file of the archive. `block` counts from 0, None for the file's header. `at` is
    an offset in bytes."""

    path: str
    block: int | None
    at: int
    why: str

    def __str__(self) -> str:
        where = "its header" if self.block is None else f"block {self.block}"
        return f"{self.path} is damaged in {where}, at byte {self.at}: {self.why}"


class DamagedFileError(HistoryError):
    """A file of the archive is cut or corrupt, as `damage` says."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(f"{damage}; restore the file, or pass over what it lacks with --skip")
        self.damage = damage


class Hole(Struct, frozen=True):
    """Positions of a partition that neither the archive nor the hub has, from `first` to `last`; `generation`: how
    often the hub had been made anew before. `before` and `after` are the files on both sides, None for no file."""

    partition: str
    generation: int
    first: int
    last: int
    before: str | None = None
    after: str | None = None

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        files = " and ".join(filter(None, (self.before, self.after))) or "no file of the archive"
        again = f" of the hub's generation {self.generation}" if self.generation else ""
        return f"partition {self.partition} lacks positions {self.first} to {self.last}{again}; beside them: {files}"


class ArchiveHoleError(HistoryError):
    """Events are missing, as `hole` says. `missing`: that as a sentence, without what to do."""

    def __init__(self, hole: Hole) -> None:
        self.missing = f"{hole}; {LATE}" if hole.first == 0 and hole.after is not None else str(hole)
        mend = "restore the files that are missing, or pass over these events with --skip"
        if hole.before is None and hole.after is None:
            mend = f"pass over these events with --skip; to keep those to come, {TURN_ON}"
        super().__init__(f"{self.missing}; {mend}")
        self.hole = hole


class HubUnreadableError(HistoryError):
    """The hub did not give the events that it says it has."""
