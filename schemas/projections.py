"""Which version of a projection is live: a document for each projection in the container `projections`."""

from msgspec import Struct


class LiveVersionDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """The version of the projection `id` that is written and served, and over how many shelves it is spread.

    `shelves` is fixed when a version is made, a multiple of the number of the hub's partitions then: see
    `songline.schemas.library.shelf`.
    """

    id: str
    version: int
    shelves: int
