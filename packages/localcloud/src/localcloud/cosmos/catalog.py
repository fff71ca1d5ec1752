"""Databases, containers and their offers, and their descriptions for clients."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from localcloud.cosmos import indexing, json_documents, offers, resource_ids
from localcloud.cosmos.computed_properties import Computed, parse_computed
from localcloud.cosmos.definition import check_definition
from localcloud.cosmos.errors import (
    OWNER_NOT_FOUND,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
)
from localcloud.cosmos.partition import (
    PartitionKeyDefinition,
    PartitionKeyRange,
    parse_definition,
    parse_path,
    ranges_of,
)
from localcloud.cosmos.storage import SqliteSession

MAX_NAME = 255
MUTABLE = ("indexingPolicy", "defaultTtl", "conflictResolutionPolicy", "analyticalStorageTtl", "computedProperties")

Resource = dict[str, object]


@dataclass(slots=True)
class Container:
    number: int
    database: "Database"
    id: str
    rid: str
    etag: str
    ts: int
    resource: Resource  # as the client gave it, with defaults
    key: PartitionKeyDefinition
    ranges: tuple[PartitionKeyRange, ...]
    indexing: indexing.IndexingPolicy
    default_ttl: int | None
    unique_keys: tuple[tuple[tuple[str, ...], ...], ...]
    computed: Computed
    deleted: bool = False  # set by the writer; a write that was queued before checks it

    @property
    def link(self) -> str:
        return f"dbs/{self.database.rid}/colls/{self.rid}/"

    @property
    def name_link(self) -> str:
        return f"dbs/{self.database.id}/colls/{self.id}"

    def describe(self) -> Resource:
        return {
            **self.resource,
            "_rid": self.rid,
            "_ts": self.ts,
            "_self": self.link,
            "_etag": self.etag,
            "_docs": "docs/",
            "_sprocs": "sprocs/",
            "_triggers": "triggers/",
            "_udfs": "udfs/",
            "_conflicts": "conflicts/",
        }

    def range_of(self, epk: str) -> PartitionKeyRange:
        return next(r for r in reversed(self.ranges) if epk >= r.low)

    def describe_range(self, of: PartitionKeyRange) -> Resource:
        rid = resource_ids.encode(resource_ids.decode(self.rid) + (int(of.id) + 2).to_bytes(7, "little") + b"\x50")
        return {
            "_rid": rid,
            "id": of.id,
            "_etag": self.etag,
            "minInclusive": of.low,
            "maxExclusive": of.high,
            "ridPrefix": int(of.id),
            "_self": f"{self.link}pkranges/{rid}/",
            "throughputFraction": 1 / len(self.ranges),
            "status": "online",
            "parents": [],
            "ownedArchivalPKRangeIds": [],
            "_ts": self.ts,
        }


@dataclass(slots=True)
class Database:
    number: int
    id: str
    etag: str
    ts: int
    containers: dict[str, Container] = field(default_factory=dict)

    @property
    def rid(self) -> str:
        return resource_ids.database_rid(self.number)

    @property
    def link(self) -> str:
        return f"dbs/{self.rid}/"

    def describe(self) -> Resource:
        return {
            "id": self.id,
            "_rid": self.rid,
            "_self": self.link,
            "_etag": self.etag,
            "_colls": "colls/",
            "_users": "users/",
            "_ts": self.ts,
        }


class Catalog:
    """The databases and containers of the account, in memory.

    The functions below return jobs for `storage.Storage.write`. When a job is on disk, the handler puts its result into
    the catalog. `throughput` maps the link of a database or a container to its request units a second.
    """

    def __init__(self, session: SqliteSession) -> None:
        self.databases: dict[str, Database] = {}
        self.throughput = offers.read_throughput(session)
        for number, id_, etag, ts in session.connection.execute("SELECT number, id, etag, ts FROM databases"):
            self.databases[id_] = Database(number, id_, etag, ts)
        by_number = {database.number: database for database in self.databases.values()}
        rows = session.connection.execute("SELECT number, database, id, ranges, resource, etag, ts FROM containers")
        for number, owner, id_, ranges, resource, etag, ts in rows:
            database = by_number[owner]
            decoded = json_documents.decode(resource)
            if isinstance(decoded, dict):
                database.containers[id_] = build_container(number, database, ranges, decoded, etag, ts)

    def database(self, id_or_rid: str) -> Database:
        """Raises NotFoundError."""
        found = self.databases.get(id_or_rid) or next((d for d in self.databases.values() if d.rid == id_or_rid), None)
        if found is None:
            raise NotFoundError(f"Resource Not Found: there is no database '{id_or_rid}'.")
        return found

    def container(self, database: str, id_or_rid: str) -> Container:
        """Raises NotFoundError, with the sub-status that tells a missing owner from a missing item."""
        try:
            owner = self.database(database)
        except NotFoundError as error:
            error.substatus = OWNER_NOT_FOUND
            raise
        found = owner.containers.get(id_or_rid) or next(
            (c for c in owner.containers.values() if c.rid == id_or_rid), None
        )
        if found is None:
            raise NotFoundError(
                f"Resource Not Found: there is no container '{id_or_rid}' in database '{owner.id}'.",
                substatus=OWNER_NOT_FOUND,
            )
        return found


def create_database(id_: str, throughput: Resource | None, now: int) -> Callable[[SqliteSession], Database]:
    def job(session: SqliteSession) -> Database:
        etag = json_documents.etag_of(session.next_lsn(), now)
        try:
            number = session.connection.execute(
                "INSERT INTO databases (id, etag, ts) VALUES (?, ?, ?)", (id_, etag, now)
            ).lastrowid
        except sqlite3.IntegrityError:
            raise ConflictError(f"Resource with specified id or name already exists: database '{id_}'.") from None
        database = Database(number or 0, id_, etag, now)
        if throughput is not None:
            offers.insert(session, database.link, throughput, now)
        return database

    return job


def delete_database(database: Database) -> Callable[[SqliteSession], None]:
    def job(session: SqliteSession) -> None:
        for container in database.containers.values():
            delete_container(container)(session)
        session.connection.execute("DELETE FROM databases WHERE number = ?", (database.number,))
        session.connection.execute("DELETE FROM offers WHERE resource = ?", (database.link,))

    return job


def create_container(
    database: Database, resource: Resource, throughput: Resource | None, now: int
) -> Callable[[SqliteSession], Container]:
    """Raises BadRequestError for a definition that the service would refuse.

    The job raises ConflictError for an id that exists.
    """
    build_container(0, database, 1, resource, "", 0)

    def job(session: SqliteSession) -> Container:
        etag = json_documents.etag_of(session.next_lsn(), now)
        shared = offers.read_throughput(session).get(database.link)
        own = throughput or (offers.DEFAULT if shared is None else None)
        ranges = offers.partition_count(offers.max_throughput(own) if own is not None else shared or 0)
        try:
            number = session.connection.execute(
                "INSERT INTO containers (database, id, ranges, resource, etag, ts) VALUES (?, ?, ?, ?, ?, ?)",
                (database.number, resource["id"], ranges, json_documents.encode(resource), etag, now),
            ).lastrowid
        except sqlite3.IntegrityError:
            raise ConflictError(
                f"Resource with specified id or name already exists: container '{resource['id']}'."
            ) from None
        container = build_container(number or 0, database, ranges, resource, etag, now)
        if own is not None:
            offers.insert(session, container.link, own, now)
        return container

    return job


def replace_container(
    container: Container, resource: Resource, if_match: str | None, now: int
) -> Callable[[SqliteSession], Container]:
    """Raises BadRequestError when a property changes that must not, PreconditionFailedError for a stale ETag."""
    if resource["id"] != container.id:
        raise BadRequestError(f"The container's id is '{container.id}'; it cannot be changed to '{resource['id']}'.")
    if parse_definition(_object(resource, "partitionKey")) != container.key:
        raise BadRequestError("The partition key of a container cannot be changed.")
    changed = {key: value for key, value in container.resource.items() if key not in MUTABLE}
    changed |= {key: resource[key] for key in MUTABLE if key in resource}
    if build_container(0, container.database, len(container.ranges), resource, "", 0).unique_keys not in (
        (),
        container.unique_keys,
    ):
        raise BadRequestError("The unique key policy of a container cannot be changed.")
    if if_match not in (None, "*", container.etag):
        raise PreconditionFailedError(f"The container's ETag is {container.etag}, not {if_match}.")

    def job(session: SqliteSession) -> Container:
        etag = json_documents.etag_of(session.next_lsn(), now)
        session.connection.execute(
            "UPDATE containers SET resource = ?, etag = ?, ts = ? WHERE number = ?",
            (json_documents.encode(changed), etag, now, container.number),
        )
        return build_container(container.number, container.database, len(container.ranges), changed, etag, now)

    return job


def delete_container(container: Container) -> Callable[[SqliteSession], None]:
    def job(session: SqliteSession) -> None:
        container.deleted = True
        for table in ("items", "unique_values"):
            statement = f"DELETE FROM {table} WHERE container = ?"  # noqa: S608 - a name from above
            session.connection.execute(statement, (container.number,))
        session.connection.execute("DELETE FROM containers WHERE number = ?", (container.number,))
        session.connection.execute("DELETE FROM offers WHERE resource = ?", (container.link,))

    return job


def complete_container(resource: object) -> Resource:
    """Check a container's definition and fill in what the service fills in."""
    if not isinstance(resource, dict):
        raise BadRequestError("The container's definition is not a JSON object.")
    json_documents.check_id(resource.get("id"), limit=MAX_NAME)
    if "partitionKey" not in resource:
        raise BadRequestError("The container's definition has no partition key: add 'partitionKey': {'paths': ['/…']}.")
    complete: Resource = {
        "indexingPolicy": indexing.DEFAULT_POLICY,
        "conflictResolutionPolicy": {
            "mode": "LastWriterWins",
            "conflictResolutionPath": "/_ts",
            "conflictResolutionProcedure": "",
        },
        "geospatialConfig": {"type": "Geography"},
        **{key: value for key, value in resource.items() if not key.startswith("_")},
    }
    complete["indexingPolicy"] = indexing.complete_policy(_object(complete, "indexingPolicy"))
    check_definition(complete)
    return complete


def build_container(number: int, database: Database, ranges: int, resource: Resource, etag: str, ts: int) -> Container:
    """Raises BadRequestError for a definition that the service would refuse."""
    key = parse_definition(_object(resource, "partitionKey"))
    ttl = resource.get("defaultTtl")
    if ttl is not None and not json_documents.is_ttl(ttl):
        raise BadRequestError(f"The container's defaultTtl is {ttl!r}: expected a number of seconds above 0, or -1.")
    return Container(
        number=number,
        database=database,
        id=str(resource["id"]),
        rid=resource_ids.container_rid(database.rid, number),
        etag=etag,
        ts=ts,
        resource=resource,
        key=key,
        ranges=ranges_of(key.version if key.kind == "Hash" else 2, ranges),
        indexing=indexing.IndexingPolicy(_object(resource, "indexingPolicy")),
        default_ttl=ttl if isinstance(ttl, int) else None,
        unique_keys=_unique_keys(resource),
        computed=parse_computed(resource.get("computedProperties", [])),
    )


def _unique_keys(resource: Resource) -> tuple[tuple[tuple[str, ...], ...], ...]:
    policy = resource.get("uniqueKeyPolicy")
    keys = policy.get("uniqueKeys", []) if isinstance(policy, dict) else []
    if not isinstance(keys, list):
        raise BadRequestError("The unique key policy's uniqueKeys are not a list.")
    found = []
    for key in keys:
        paths = key.get("paths") if isinstance(key, dict) else None
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            raise BadRequestError(f"A unique key has no list of paths: {key!r}.")
        found.append(tuple(parse_path(path) for path in paths))
    return tuple(found)


def _object(resource: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = resource.get(name)
    if not isinstance(value, dict):
        raise BadRequestError(f"The property '{name}' is {value!r}: expected a JSON object.")
    return value
