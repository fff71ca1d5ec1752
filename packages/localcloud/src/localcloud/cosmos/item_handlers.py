"""Handlers for items: one item, a batch, and all items of a partition key."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from localcloud.cosmos import batch, charges, items, json_documents, patch
from localcloud.cosmos.catalog import Catalog, Container
from localcloud.cosmos.errors import (
    PARTITION_KEY_MISMATCH,
    BadRequestError,
    CosmosError,
)
from localcloud.cosmos.exchange import Reply, Request, add_location_headers
from localcloud.cosmos.items import ItemKey, Operation, Result
from localcloud.cosmos.json_documents import Document
from localcloud.cosmos.query.expressions import ROOT
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.program import Program, compile_query
from localcloud.cosmos.query_handlers import QueryHandlers
from localcloud.cosmos.storage import SqliteSession, Storage
from localcloud.cosmos.targets import find_container, named_extent
from localcloud.cosmos.throughput import Throughput

T = TypeVar("T")

_CLOCK = re.compile("GetCurrent", re.IGNORECASE)
# Strings come first, so that no number inside of one is found. An index stays: a parameter is none.
_NUMBER_OR_STRING = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?<![\w.@\[])\d{1,15}(?![\w.])""")


class ItemHandlers:
    def __init__(self, storage: Storage, known: Catalog, throughput: Throughput, queries: QueryHandlers) -> None:
        self._storage = storage
        self._catalog = known
        self._throughput = throughput
        self._queries = queries

    async def post(self, request: Request) -> Reply:
        match request.operation:
            case "plan":
                return self._queries.plan(request)
            case "query":
                return await self._queries.query(request)
            case "batch":
                return await self.batch(request)
            case operation:
                return await self.create(request, operation.capitalize())

    async def create(self, request: Request, kind: str) -> Reply:
        """`kind` is Create or Upsert."""
        container = find_container(self._catalog, request)
        document = json_documents.decode_document(request.body)
        return await self._write(request, container, kind, document)

    async def replace(self, request: Request) -> Reply:
        container = find_container(self._catalog, request)
        document = json_documents.decode_document(request.body)
        return await self._write(request, container, "Replace", document, await self._key(request, container))

    async def patch(self, request: Request) -> Reply:
        container = find_container(self._catalog, request)
        if len(request.body) > json_documents.MAX_BYTES:
            raise BadRequestError(
                f"The patch has {len(request.body)} bytes where {json_documents.MAX_BYTES} are allowed."
            )
        change = parse_patch(request.now_ms)(json_documents.decode(request.body))
        key = await self._key(request, container)
        operation = Operation("Patch", key, patch=change, if_match=request.headers.get("if-match"))
        return await self._apply(request, container, operation)

    async def delete(self, request: Request) -> Reply:
        container = find_container(self._catalog, request)
        key = await self._key(request, container)
        operation = Operation("Delete", key, if_match=request.headers.get("if-match"))
        return await self._apply(request, container, operation)

    async def read(self, request: Request) -> Reply:
        container = find_container(self._catalog, request)
        key = await self._key(request, container)
        item = await self._storage.read(lambda s: items.find(s, container, key, request.now))
        if item is None:
            raise items.not_found(key)
        reply = self._result_reply(
            request, container, key, Result(200, charges.read(len(item.body)), item.lsn, item.etag, item.body)
        )
        if request.headers.get("if-none-match") in ("*", item.etag):
            reply.status, reply.body = 304, b""
        return reply

    async def batch(self, request: Request) -> Reply:
        container = find_container(self._catalog, request)
        values = request.partition_key
        operations = batch.parse_operations(request.body, container, values, parse_patch(request.now_ms))
        minimal = request.wants_minimal
        if request.flag("x-ms-cosmos-batch-atomic"):
            try:
                done = await self._storage.write(batch.apply_all(container, operations, request.now))
                response = batch.response_of_all(done, minimal=minimal)
            except batch.BatchError as failure:
                response = batch.response_of_failure(len(operations), failure)
        else:
            allowance = self._throughput.allowance(request.address, request.now_ms)
            each = await self._storage.write(batch.apply_each(container, operations, request.now, allowance))
            response = batch.response_of_each(each, minimal=minimal)
        reply = Reply(response.status, b"[%b]" % b",".join(response.results))
        reply.headers["x-ms-request-charge"] = str(round(response.charge, 2))
        add_location_headers(reply, container, operations[0].key.epk, response.lsn)
        return reply

    async def delete_partition(self, request: Request) -> Reply:
        """Delete all items of a partition key."""
        container = find_container(self._catalog, request)
        extent, single = named_extent(request, container)
        if not single or extent.pk is None:
            raise BadRequestError("Deleting by partition key needs the header x-ms-documentdb-partitionkey.")

        def job(session: SqliteSession) -> int:
            for table in ("items", "unique_values"):
                session.connection.execute(
                    f"DELETE FROM {table} WHERE container = ? AND pk = ?",  # noqa: S608 - a name from above
                    (container.number, extent.pk),
                )
            return session.next_lsn()

        lsn = await self._storage.write(job)
        reply = Reply(200, headers={"x-ms-request-charge": str(charges.METADATA_WRITE)})
        add_location_headers(reply, container, extent.low, lsn)
        return reply

    async def _write(
        self, request: Request, container: Container, kind: str, document: Document, replaced: ItemKey | None = None
    ) -> Reply:
        values = request.partition_key
        if values is None:
            raise _no_partition_key()
        key = items.key_of_document(container, document, values)
        operation = Operation(
            kind,
            replaced or key,
            document,
            if_match=request.headers.get("if-match"),
            if_none_match=request.headers.get("if-none-match"),
        )
        return await self._apply(request, container, operation)

    async def _apply(self, request: Request, container: Container, operation: Operation) -> Reply:
        result = await self._storage.write(
            lambda session: items.apply(session, container, operation, request.now),
            undo=bool(container.unique_keys),  # a job that claims unique values may fail after its first write
        )
        return self._result_reply(request, container, operation.key, result)

    async def _key(self, request: Request, container: Container) -> ItemKey:
        """The item that the path names, by its id or, in a link of resource ids, by that."""
        values, id_ = request.partition_key, request.address.id
        if values is None:
            raise _no_partition_key()
        if request.address.database == container.database.rid:
            found = await self._storage.read(lambda s: items.find_id(s, container, values, request.address.id))
            id_ = found or id_
        return items.key_of(container, values, id_)

    def _result_reply(self, request: Request, container: Container, key: ItemKey, result: Result) -> Reply:
        reply = Reply(result.status, result.body, {"x-ms-request-charge": str(result.charge)})
        if request.method != "GET" and request.wants_minimal:
            reply.body = b""
        if result.etag:
            reply.headers["etag"] = result.etag
        add_location_headers(reply, container, key.epk, result.lsn)
        return reply


def parse_patch(now_ms: int) -> Callable[[object], patch.Patch]:
    """Reads `{"operations": […], "condition": "from c where …"}`, or the operations alone."""

    def parse_body(body: object) -> patch.Patch:
        if not isinstance(body, dict):
            return patch.Patch(patch.parse_steps(body))
        steps = patch.parse_steps(body.get("operations"))
        condition = body.get("condition")
        if condition is None:
            return patch.Patch(steps)
        program, numbers = _compile_condition(f"SELECT * {condition}", now_ms)
        return patch.Patch(steps, lambda document: any(True for _ in program.rows({ROOT: document, **numbers})))

    return parse_body


def _compile_condition(text: str, now_ms: int) -> tuple[Program, dict[str, object]]:
    """The compiled query, and what its rows have beside the document. Texts that differ in whole numbers only
    (positions, versions) are compiled once."""
    numbers: dict[str, object] = {}

    def lift(found: re.Match[str]) -> str:
        if not found[0].isdecimal():
            return found[0]
        name = f"@number{len(numbers)}"
        numbers[name] = int(found[0])
        return name

    lifted = _NUMBER_OR_STRING.sub(lift, text)
    try:
        return _compiled(lifted, frozenset(numbers), now_ms if _CLOCK.search(text) else 0), numbers
    except BadRequestError:
        # Its message is about the text as it came. So is what has numbers where a row has none, as behind TOP.
        return compile_query(parse(text), {}, now_ms), {}


@lru_cache(maxsize=128)
def _compiled(text: str, given: frozenset[str], now_ms: int) -> Program:
    return compile_query(parse(text), {}, now_ms, given)


def _no_partition_key() -> CosmosError:
    return BadRequestError(
        "PartitionKey value must be supplied for this operation, in the header x-ms-documentdb-partitionkey.",
        substatus=PARTITION_KEY_MISMATCH,
    )
