"""Imports of histories, as they are stored and shown: the documents of the container `imports`.

A listener's documents are one logical partition: an import each, and pages of the listens that it took, by which the
same listen is known when it comes again.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from songline.schemas.commands import derived_id
from songline.schemas.types import FileName, Id, Moment, Sha256, Size, TimezoneName

ImportState = Literal["queued", "running", "stopping", "stopped", "done", "refused", "failed", "undoing", "undone"]
"""Where an import is. `refused`: its file is no history that can be read. `failed`: it was begun too often."""

ENDED: tuple[ImportState, ...] = ("stopped", "done", "refused", "failed", "undone")
"""The states after which nothing comes by itself."""
TAKEN_BACK: tuple[ImportState, ...] = ("undoing", "undone")


class ImportCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """The rows of a file so far. `read` is `taken`, `known` and all `skipped` together; `taken` is `matched` and
    `by_name` together.

    `known`: an import before had the same listen. `matched`: its song is in the catalog, `by_name`: it is not.
    """

    read: int = 0
    taken: int = 0
    known: int = 0
    matched: int = 0
    by_name: int = 0
    skipped: Mapping[str, int] = {}
    formats: Mapping[str, int] = {}


class HistoryImport(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="kind", tag="import"
):
    """An import. `run` counts how often its file was sent; `counts` are those of the last run. `reason`: why it was
    refused, or failed. `blob`: the staged file, until it is deleted. `kind` tells it from pages."""

    id: Id
    user_id: Id
    state: ImportState
    received_at: Moment
    updated_at: Moment
    sha256: Sha256
    size: Size
    run: int = 1
    file_name: FileName | None = None
    timezone: TimezoneName = "UTC"
    dry_run: bool = False
    counts: ImportCounts = ImportCounts()
    reason: str | None = None
    blob: str | None = None


class ListenPage(Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="page"):
    """Listens that an import took, in the order of its file: `listens` is base64 of 18 bytes for each (see
    `processors.imports.known_listens`)."""

    id: Id
    user_id: Id
    import_id: Id
    run: int
    number: int
    listens: str


class ImportAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """An import, as of `as_of`."""

    as_of: Moment
    id: Id
    user_id: Id
    state: ImportState
    received_at: Moment
    updated_at: Moment
    file_name: FileName | None
    size: Size
    dry_run: bool
    counts: ImportCounts
    reason: str | None


class ImportsAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listener's imports, the most recently updated first."""

    as_of: Moment
    user_id: Id
    imports: tuple[ImportAnswer, ...]


def import_id_of(user_id: str, sha256: str, timezone: str, generation: int) -> str:
    """The id of the import of a file: the same for the same file, so that sending it again repeats the import. After it
    was taken back, the next generation is another import."""
    return derived_id("import", user_id, sha256, timezone, str(generation))


def shown_import(found: HistoryImport, as_of: Moment) -> ImportAnswer:
    """The import for the API."""
    return ImportAnswer(
        as_of=as_of,
        id=found.id,
        user_id=found.user_id,
        state=found.state,
        received_at=found.received_at,
        updated_at=found.updated_at,
        file_name=found.file_name,
        size=found.size,
        dry_run=found.dry_run,
        counts=found.counts,
        reason=found.reason,
    )
