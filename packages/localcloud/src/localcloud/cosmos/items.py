"""Operations on one item, inside a transaction of the writer."""

import sqlite3
from dataclasses import dataclass, replace

from crc32c import crc32c

from localcloud.cosmos import charges, json_documents, patch, resource_ids
from localcloud.cosmos.catalog import Container
from localcloud.cosmos.damage import checked_body
from localcloud.cosmos.errors import (
    OWNER_NOT_FOUND,
    PARTITION_KEY_MISMATCH,
    BadRequestError,
    ConflictError,
    CosmosError,
    NotFoundError,
    PreconditionFailedError,
    RequestTooLargeError,
)
from localcloud.cosmos.json_documents import Document
from localcloud.cosmos.partition import Component, canonical
from localcloud.cosmos.storage import SqliteSession

KEY_MISMATCH = (
    "Partition key provided either doesn't correspond to definition in the collection or doesn't match partition key "
    "field values specified in the document."
)


_READ_FIRST = ("Read", "Patch", "Delete")


@dataclass(frozen=True, slots=True)
class ItemKey:
    """The key of an item: its effective partition key, the text of its partition key, and its id."""

    epk: str
    pk: str
    id: str


@dataclass(frozen=True, slots=True)
class Item:
    """A stored item; `body` is the JSON that clients get, empty where it was not read, and `size` its bytes."""

    number: int
    lsn: int
    etag: str
    body: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Operation:
    """`kind` is Create, Upsert, Replace, Patch, Delete or Read; ETags are quoted, as in headers."""

    kind: str
    key: ItemKey
    document: Document | None = None
    patch: "patch.Patch | None" = None
    if_match: str | None = None
    if_none_match: str | None = None
    refusal: CosmosError | None = None  # an error that does not depend on the stored item


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    charge: float
    lsn: int
    etag: str = ""
    body: bytes = b""


def key_of(container: Container, values: tuple[Component, ...], id_: str) -> ItemKey:
    """Raises BadRequestError when the values are not as many as the container's key has paths."""
    if len(values) != len(container.key.paths):
        raise BadRequestError(
            f"{KEY_MISMATCH} It has {len(values)} values where the definition has {len(container.key.paths)} paths.",
            substatus=PARTITION_KEY_MISMATCH,
        )
    return ItemKey(container.key.effective(values), canonical(values), id_)


def key_of_document(container: Container, document: Document, given: tuple[Component, ...] | None) -> ItemKey:
    """The key in a document. Raises BadRequestError when `given`, the key in the request, is another."""
    values = container.key.extract(document)
    if given is not None and canonical(given) != canonical(values):
        raise BadRequestError(
            "PartitionKey extracted from document doesn't match the one specified in the header. "
            f"{KEY_MISMATCH} The document has {canonical(values)}, the header {canonical(given)}.",
            substatus=PARTITION_KEY_MISMATCH,
        )
    return key_of(container, values, str(document["id"]))


def find_id(session: SqliteSession, container: Container, values: tuple[Component, ...], rid: str) -> str | None:
    """The id of the item that has the resource id `rid` in a partition."""
    number = resource_ids.document_number(container.rid, rid)
    if number is None:
        return None
    key = key_of(container, values, "")
    row = session.connection.execute(
        "SELECT id FROM items WHERE container = ? AND epk = ? AND pk = ? AND number = ?",
        (container.number, key.epk, key.pk, number),
    ).fetchone()
    return str(row[0]) if row else None


def find(
    session: SqliteSession, container: Container, key: ItemKey, now: int, *, with_body: bool = True
) -> Item | None:
    """The item; None when it is not there or has expired."""
    body_column = "body, crc" if with_body else "x'', NULL"
    row = session.connection.execute(
        f"SELECT number, lsn, etag, {body_column}, length(body), ts, ttl FROM items "  # noqa: S608 - one of two
        "WHERE container = ? AND epk = ? AND pk = ? AND id = ?",
        (container.number, key.epk, key.pk, key.id),
    ).fetchone()
    if row is None:
        return None
    number, lsn, etag, body, crc, size, ts, ttl = row
    if container.default_ttl is not None:
        lifetime = container.default_ttl if ttl is None else ttl
        if lifetime != -1 and ts + lifetime <= now:
            return None
    return Item(number, lsn, etag, checked_body(session, key.id, body, crc), size)


def apply(session: SqliteSession, container: Container, operation: Operation, now: int) -> Result:
    """Apply an operation. Raises CosmosError when the service would refuse it; nothing has changed then."""
    if container.deleted:
        raise NotFoundError("Resource Not Found: the container has been deleted.", substatus=OWNER_NOT_FOUND)
    # What is replaced as a whole need not be read, which costs as much as writing it.
    item = find(session, container, operation.key, now, with_body=operation.kind in _READ_FIRST)
    try:
        return _apply(session, container, operation, item, now)
    except CosmosError as error:
        error.charge = error.charge or charges.read(item.size if item else 0)
        raise


def _apply(session: SqliteSession, container: Container, operation: Operation, item: Item | None, now: int) -> Result:
    kind = operation.kind
    if operation.refusal is not None:
        raise operation.refusal
    if kind == "Create" and item is not None:
        raise _id_conflict(operation.key)
    if item is None and kind not in ("Create", "Upsert"):
        raise not_found(operation.key)
    check_preconditions(operation, item)
    if kind == "Read":
        assert item is not None
        return Result(200, charges.read(len(item.body)), session.lsn, item.etag, item.body)
    if kind == "Delete":
        assert item is not None
        return _delete(session, container, operation.key, item)
    document = operation.document
    if operation.patch is not None:
        assert item is not None
        document = _patched(container, operation, item)
    assert document is not None
    if item is not None and document["id"] != operation.key.id:
        return _rename(session, container, operation.key, document, now)
    return _put(session, container, operation.key, document, item, now)


def check_preconditions(operation: Operation, item: Item | None) -> None:
    """If-Match and If-None-Match of a write (RFC 9110, section 13). Raises PreconditionFailedError.

    As at the service, an upsert that finds no item ignores If-Match and creates one.
    """
    if (
        operation.if_match not in (None, "*")
        and item is not None
        and not _same_etag(str(operation.if_match), item.etag)
    ):
        raise PreconditionFailedError(
            "Operation cannot be performed because one of the specified precondition is not met: "
            f"If-Match {operation.if_match}, ETag {item.etag}."
        )
    if (
        operation.kind != "Read"
        and operation.if_none_match is not None
        and item is not None
        and (operation.if_none_match == "*" or _same_etag(operation.if_none_match, item.etag))
    ):
        raise PreconditionFailedError(
            "Operation cannot be performed because one of the specified precondition is not met: "
            f"If-None-Match {operation.if_none_match}, ETag {item.etag}."
        )


def not_found(key: ItemKey) -> NotFoundError:
    return NotFoundError(
        f"Entity with the specified id does not exist in the system: '{key.id}' in partition {key.pk}.",
        charge=charges.read(0),
    )


def _same_etag(left: str, right: str) -> bool:
    return left.strip('"') == right.strip('"')


def _patched(container: Container, operation: Operation, item: Item) -> Document:
    document = json_documents.decode(item.body)
    assert isinstance(document, dict)
    assert operation.patch is not None
    changed = json_documents.check_document(operation.patch.apply(document))
    json_documents.check_depth(changed, json_documents.encode(changed))
    if changed["id"] != operation.key.id:
        raise BadRequestError("A patch cannot change an item's id.")
    if canonical(container.key.extract(changed)) != operation.key.pk:
        raise BadRequestError("A patch cannot change an item's partition key.", substatus=PARTITION_KEY_MISMATCH)
    return changed


def _rename(session: SqliteSession, container: Container, key: ItemKey, document: Document, now: int) -> Result:
    """A replace may give an item another id that is free."""
    new = replace(key, id=str(document["id"]))
    if find(session, container, new, now, with_body=False) is not None:
        raise _id_conflict(new)
    item = find(session, container, key, now)
    assert item is not None
    _delete(session, container, key, item)
    return _put(session, container, new, document, item, now)


def _id_conflict(key: ItemKey) -> ConflictError:
    return ConflictError(
        f"Entity with the specified id already exists in the system: '{key.id}' in partition {key.pk}."
    )


def _put(
    session: SqliteSession, container: Container, key: ItemKey, document: Document, item: Item | None, now: int
) -> Result:
    execute = session.connection.execute
    lsn = session.next_lsn()
    number = item.number if item else lsn
    etag = json_documents.etag_of(lsn, now)
    kept = json_documents.with_system_properties(
        document,
        rid=resource_ids.document_rid(container.rid, number),
        link=container.link,
        etag=etag,
        ts=now,
    )
    body = json_documents.encode(kept)
    if len(body) > json_documents.MAX_BYTES:
        raise RequestTooLargeError(
            f"Request size is too large: {len(body)} bytes where {json_documents.MAX_BYTES} are allowed."
        )
    if container.unique_keys:
        _claim_unique_values(session, container, key, document)
    execute(
        "INSERT INTO items (container, epk, pk, id, number, lsn, etag, ts, ttl, body, crc) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (container, epk, pk, id) DO UPDATE SET "
        "number = excluded.number, lsn = excluded.lsn, etag = excluded.etag, ts = excluded.ts, ttl = excluded.ttl, "
        "body = excluded.body, crc = excluded.crc",
        (container.number, key.epk, key.pk, key.id, number, lsn, etag, now, document.get("ttl"), body, crc32c(body)),
    )
    indexed = container.indexing.count(document)
    charge = charges.replace(len(body), indexed) if item else charges.insert(len(body), indexed)
    return Result(200 if item else 201, charge, lsn, etag, body)


def _delete(session: SqliteSession, container: Container, key: ItemKey, item: Item) -> Result:
    values = (container.number, key.epk, key.pk, key.id)
    session.connection.execute("DELETE FROM items WHERE container = ? AND epk = ? AND pk = ? AND id = ?", values)
    if container.unique_keys:
        _release_unique_values(session, container, key)
    document = json_documents.decode(item.body)
    assert isinstance(document, dict)
    return Result(204, charges.delete(len(item.body), container.indexing.count(document)), session.next_lsn())


def _claim_unique_values(session: SqliteSession, container: Container, key: ItemKey, document: Document) -> None:
    _release_unique_values(session, container, key)
    for number, paths in enumerate(container.unique_keys):
        value = json_documents.encode([json_documents.value_at(document, path) for path in paths]).decode()
        try:
            session.connection.execute(
                "INSERT INTO unique_values VALUES (?, ?, ?, ?, ?)",
                (container.number, key.pk, number, value, key.id),
            )
        except sqlite3.IntegrityError:
            raise ConflictError(
                f"Unique index constraint violation: {value} is taken in partition {key.pk} for the paths "
                f"{', '.join('/' + '/'.join(path) for path in paths)}."
            ) from None


def _release_unique_values(session: SqliteSession, container: Container, key: ItemKey) -> None:
    session.connection.execute(
        "DELETE FROM unique_values WHERE container = ? AND pk = ? AND id = ?",
        (container.number, key.pk, key.id),
    )


def sizes(session: SqliteSession, container: Container) -> list[tuple[int, int]]:
    """The number of items and their bytes, for each range of the container."""
    statement = (
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM items WHERE container = ? AND epk >= ? AND epk < ?"
    )
    execute = session.connection.execute
    return [execute(statement, (container.number, of.low, of.high)).fetchone() for of in container.ranges]
