"""The versions of projections: which one is live, and the document of each, in the container `projections`.

A version is a container of its own, see `container_of`: what it has applied (`@progress`) and what it takes is its own,
readers change to another one by reading one document, and dropping it is deleting a container.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from songline.schemas.channels import CHARTS, LIBRARY, LIBRARY_SHELVES, PLAYS, SONGS
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.progress import Watermark
from songline.schemas.types import Moment

PROJECTIONS_OF_VERSIONS = (CHARTS, PLAYS, LIBRARY, SONGS)
"""The projections that have versions, by name."""

FIRST_VERSION = 1

_CONTAINERS = {LIBRARY: LIBRARY_SHELVES}
"""The names of containers that are not those of their projections."""

Version = Annotated[int, Meta(ge=FIRST_VERSION, le=999_999)]

VersionState = Literal["building", "ready", "live", "former", "dropped"]


class LiveVersionDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """The version of the projection `id` that is written and served. Where there is no document, it is the first one.

    `shelves` is over how many shelves libraries are spread, 0 for other projections and where no worker has made the
    first version yet. It is fixed when a version is made, a multiple of the number of the hub's partitions then: see
    `songline.schemas.library.shelf`.
    """

    id: str
    version: Version
    shelves: Annotated[int, Meta(ge=0)] = 0


class PositionRange(Struct, frozen=True, array_like=True):
    """Lasting positions of a partition, from `first` to `last`: see `songline.schemas.progress`."""

    first: int
    last: int


class VersionDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """A version of a projection: `id` is `version_id` of both.

    - `state`: since `since`. A version that is `ready` has reached the hub's end, or `until`, when it was built last.
    - `policy`: of charts the name and version of their policy, else empty.
    - `until`: only what the hub had taken by then was folded; None: all.
    - `positions`: how far it was when that was recorded last, by partition; the container's watermarks are exact.
    - `events`: how many were folded by rebuilds. At least `unreadable` of them could not be decoded: what a rebuild
      that is killed had counted in its last seconds is lost. `missing` others were not found; `missing_at`: where, of
      each partition the first thousand places.
    - `worker`: the rebuild that writes it, empty for none, which recorded that at `recorded_at`.
    """

    id: str
    projection: str
    version: Version
    state: VersionState
    since: Moment
    started_at: Moment
    shelves: Annotated[int, Meta(ge=0)] = 0
    policy: str = ""
    until: Moment | None = None
    positions: dict[str, int] = {}
    events: int = 0
    unreadable: int = 0
    missing: int = 0
    missing_at: dict[str, list[PositionRange]] = {}
    worker: str = ""
    recorded_at: Moment | None = None


class DamagedVersionError(Exception):
    """The document that says which version of a projection is live can't be used; the message is a sentence with what
    mends it. Nothing is read or written until it is mended: another version would be a guess."""


def container_of(projection: str, version: int) -> str:
    """The name of the container that a version is; the first one's is that of releases without versions."""
    base = _CONTAINERS.get(projection, projection)
    return base if version == FIRST_VERSION else f"{base}-v{version}"


def version_id(projection: str, version: int) -> str:
    """The id of a version's document."""
    return f"{projection}:{version}"


def live_version(
    projection: str, found: Mapping[str, Any] | None, first: Mapping[str, Any] | None = None
) -> LiveVersionDocument:
    """The live version, from the document as it was read, None where it is not there. The one rule for all readers.

    `first` is the document of the first version, which is read where the other one is not there: once versions were
    made there is one, and the live document must not be missing any more. Raises DamagedVersionError.
    """
    if found is None and first is not None:
        raise DamagedVersionError(
            f"which version of {projection} is live is not known: its document in the container `projections` is gone, "
            f"and other versions were made; choose one with `songline projection switch {projection} N --force`"
        )
    if found is None:
        return LiveVersionDocument(id=projection, version=FIRST_VERSION)
    try:
        live = convert(dict(found), LiveVersionDocument)
        problem = "it has no shelves" if projection == LIBRARY and not live.shelves else ""
        if live.id != projection:
            problem = f"it is of {live.id!r}"
    except PoisonError as poison:
        problem = poison.detail
    if problem:
        raise DamagedVersionError(
            f"which version of {projection} is live is not known: its document in the container `projections` is "
            f"damaged ({problem}); choose a version with `songline projection switch {projection} N --force`"
        )
    return live


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
