"""Reads imports of histories."""

from songline.projections.store import DocumentStore
from songline.schemas.imports import HistoryImport

MAX_LISTED = 100
_BY_ID = "SELECT * FROM c WHERE c.id = @id AND c.kind = 'import'"
_OF_USER = "SELECT * FROM c WHERE c.kind = 'import' ORDER BY c.updatedAt DESC"


async def one_import(store: DocumentStore, import_id: str) -> HistoryImport | None:
    """The import, whosever it is; None if there is none. Raises StoreUnavailableError."""
    found = await store.find(_BY_ID, [{"name": "@id", "value": import_id}], 1, HistoryImport)
    return found[0] if found else None


async def imports_of(store: DocumentStore, user_id: str, limit: int) -> list[HistoryImport]:
    """The listener's imports, the most recently updated first. Raises StoreUnavailableError."""
    return await store.find_within(user_id, _OF_USER, [], limit, HistoryImport)
