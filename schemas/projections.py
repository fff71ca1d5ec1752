"""Which version of a projection is live: a document for each projection in the container `projections`."""

from msgspec import Struct

from songline.schemas.progress import Watermark
from songline.schemas.types import Moment


class LiveVersionDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """The version of the projection `id` that is written and served, and over how many shelves it is spread.

    `shelves` is fixed when a version is made, a multiple of the number of the hub's partitions then: see
    `songline.schemas.library.shelf`.
    """

    id: str
    version: int
    shelves: int


LIBRARY_MIGRATION = "library-migration"
"""The id of the document about libraries of the former version, beside the live versions."""


class MigrationDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far the documents of a former version are converted into `version`, which has `shelves`.

    `worker` does it, and recorded at `recorded_at` how far it is: `converted` of `listeners`, the last one of them at
    `cursor`. `progress` is how far the former version was when it began.
    """

    id: str
    version: int
    shelves: int
    worker: str
    recorded_at: Moment
    progress: dict[str, Watermark] = {}
    listeners: int = 0
    converted: int = 0
    cursor: str = ""
    is_done: bool = False
