"""Handlers for items: one, many in a batch, queries, feeds and the change feed."""

import base64
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from localcloud.cosmos import batch, charges, documents, feed, items, patch
from localcloud.cosmos.auth import parse_date
from localcloud.cosmos.catalog import Catalog, Container
from localcloud.cosmos.documents import Document
from localcloud.cosmos.errors import (
    CONTAINER_RID_MISMATCH,
    CROSS_PARTITION_DISABLED,
    CROSS_PARTITION_QUERY_NOT_SERVABLE,
    PARTITION_KEY_MISMATCH,
    PARTITION_KEY_RANGE_GONE,
    BadRequest,
    CosmosError,
    Gone,
)
from localcloud.cosmos.exchange import INTEGER, Reply, Request, of_feed, read_query
from localcloud.cosmos.feed import Extent
from localcloud.cosmos.items import ItemKey, Operation, Result
from localcloud.cosmos.partition import MAX_EPK, MIN_EPK
from localcloud.cosmos.query import bounds, plan, syntax
from localcloud.cosmos.query.expressions import ROOT
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.program import compile_query
from localcloud.cosmos.storage import Session, Storage
from localcloud.cosmos.throughput import Throughput

T = TypeVar("T")


class Data:
    def __init__(self, storage: Storage, known: Catalog, throughput: Throughput) -> None:
        self._storage = storage
        self._catalog = known
        self._throughput = throughput

    async def post(self, request: Request) -> Reply:
        match request.operation:
            case "plan":
                return self.plan(request)
            case "query":
                return await self.query(request)
            case "batch":
                return await self.batch(request)
            case operation:
                return await self.create(request, operation.capitalize())

    async def create(self, request: Request, kind: str) -> Reply:
        """`kind` is Create or Upsert."""
        container = self._container(request)
        document = documents.decode_document(request.body)
        return await self._write(request, container, kind, document)

    async def replace(self, request: Request) -> Reply:
        container = self._container(request)
        document = documents.decode_document(request.body)
        return await self._write(request, container, "Replace", document, await self._key(request, container))

    async def patch(self, request: Request) -> Reply:
        container = self._container(request)
        if len(request.body) > documents.MAX_BYTES:
            raise BadRequest(f"The patch has {len(request.body)} bytes where {documents.MAX_BYTES} are allowed.")
        change = parse_patch(request.now_ms)(documents.decode(request.body))
        key = await self._key(request, container)
        operation = Operation("Patch", key, patch=change, if_match=request.headers.get("if-match"))
        return await self._apply(request, container, operation)

    async def delete(self, request: Request) -> Reply:
        container = self._container(request)
        key = await self._key(request, container)
        operation = Operation("Delete", key, if_match=request.headers.get("if-match"))
        return await self._apply(request, container, operation)

    async def read(self, request: Request) -> Reply:
        container = self._container(request)
        key = await self._key(request, container)
        item = await self._storage.read(lambda s: items.find(s, container, key, request.now))
        if item is None:
            raise items.missing(key)
        reply = self._of_result(
            request, container, key, Result(200, charges.read(len(item.body)), item.lsn, item.etag, item.body)
        )
        if request.headers.get("if-none-match") in ("*", item.etag):
            reply.status, reply.body = 304, b""
        return reply

    async def batch(self, request: Request) -> Reply:
        container = self._container(request)
        values = request.partition_key
        operations = batch.parse_operations(request.body, container, values, parse_patch(request.now_ms))
        minimal = request.wants_minimal
        if request.flag("x-ms-cosmos-batch-atomic"):
            try:
                done = await self._storage.write(batch.apply_all(container, operations, request.now))
                answer = batch.succeeded(done, minimal=minimal)
            except batch.BatchFailed as failure:
                answer = batch.failed(len(operations), failure)
        else:
            allowance = self._throughput.allowance(request.address, request.now_ms)
            each = await self._storage.write(batch.apply_each(container, operations, request.now, allowance))
            answer = batch.mixed(each, minimal=minimal)
        reply = Reply(answer.status, b"[%b]" % b",".join(answer.results))
        reply.headers["x-ms-request-charge"] = str(round(answer.charge, 2))
        self._locate(reply, container, operations[0].key.epk, answer.lsn)
        return reply

    async def read_feed(self, request: Request) -> Reply:
        """All documents, or with `A-IM` those that changed."""
        container = self._container(request)
        extent, _ = self._extent(request, container)
        if "a-im" in request.headers:
            return await self._changes(request, container, extent)
        size, token = request.page_size, request.headers.get("x-ms-continuation")
        page = await self._storage.scan(lambda s: feed.items(s, container, extent, size, token, request.now))
        return self._of_page(container, extent, page)

    async def query(self, request: Request) -> Reply:
        container = self._container(request)
        text, parameters = read_query(request)
        tree = parse(text)
        extent, single = self._extent(request, container)
        if not single:
            self._check_servable(request, container, tree, parameters)
        size, token = request.page_size, request.headers.get("x-ms-continuation")
        page = await self._storage.scan(
            lambda session: feed.query(
                session,
                container,
                extent,
                text,
                tree,
                parameters,
                limit=size,
                continuation=token,
                now_ms=request.now_ms,
            )
        )
        reply = self._of_page(container, extent, page)
        if request.flag("x-ms-documentdb-populatequerymetrics"):
            reply.headers["x-ms-documentdb-query-metrics"] = ";".join(
                f"{name}={value}" for name, value in page.metrics.items()
            )
        if request.flag("x-ms-cosmos-populateindexmetrics"):
            reply.headers["x-ms-cosmos-index-utilization"] = _INDEX_METRICS
        return reply

    def plan(self, request: Request) -> Reply:
        container = self._container(request)
        text, parameters = read_query(request)
        tree = parse(text)
        compile_query(tree, parameters, request.now_ms)
        supported = request.headers.get("x-ms-cosmos-supported-query-features", "")
        features = frozenset(name.strip() for name in supported.split(","))
        answer = plan.plan(tree, parameters, _ranges(container, tree, parameters), features)
        return Reply(200, documents.encode(answer), {"x-ms-request-charge": str(charges.METADATA_READ)})

    async def delete_partition(self, request: Request) -> Reply:
        """Delete all items of a partition key."""
        container = self._container(request)
        extent, single = self._extent(request, container)
        if not single or extent.pk is None:
            raise BadRequest("Deleting by partition key needs the header x-ms-documentdb-partitionkey.")

        def job(session: Session) -> int:
            for table in ("items", "unique_values"):
                session.connection.execute(
                    f"DELETE FROM {table} WHERE container = ? AND pk = ?",  # noqa: S608 - a name from above
                    (container.number, extent.pk),
                )
            return session.next_lsn()

        lsn = await self._storage.write(job)
        reply = Reply(200, headers={"x-ms-request-charge": str(charges.METADATA_WRITE)})
        self._locate(reply, container, extent.low, lsn)
        return reply

    async def _changes(self, request: Request, container: Container, extent: Extent) -> Reply:
        if request.headers["a-im"].lower() != "incremental feed":
            raise BadRequest(
                f"The change feed mode '{request.headers['a-im']}' is not available: expected 'Incremental feed'."
            )
        after, since = request.headers.get("if-none-match"), 0
        if after == "*":
            lsn = await self._storage.read(feed.last_lsn)
            return self._of_changes(container, extent, [], lsn, charges.FEED_BASE)
        if "if-modified-since" in request.headers:
            date = parse_date(request.headers["if-modified-since"])
            if date is None:
                raise BadRequest(
                    f"If-Modified-Since is {request.headers['if-modified-since']!r}: expected an HTTP date."
                )
            since = int(date.timestamp())
        number = after.strip('"') if after else "0"
        if not INTEGER.fullmatch(number):
            raise BadRequest(f"If-None-Match is {after!r}: expected what a page of the change feed gave.")
        lsn = int(number)
        size = request.page_size
        rows, last, charge = await self._storage.scan(
            lambda s: feed.changes(s, container, extent, after_lsn=lsn, since=since, limit=size, now=request.now)
        )
        return self._of_changes(container, extent, rows, last, charge)

    def _of_changes(self, container: Container, extent: Extent, rows: list[bytes], lsn: int, charge: float) -> Reply:
        reply = of_feed(container.rid, "Documents", rows, charge)
        if not rows:
            reply.status, reply.body = 304, b""
        reply.headers["etag"] = f'"{lsn}"'
        self._locate(reply, container, extent.low, lsn)
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
            undo=bool(container.unique_keys),  # claiming unique values is the only write that more checks follow
        )
        return self._of_result(request, container, operation.key, result)

    def _container(self, request: Request) -> Container:
        container = self._catalog.container(request.address.database, request.address.container)
        intended = request.headers.get("x-ms-cosmos-intended-collection-rid")
        if intended is not None and intended != container.rid:
            raise BadRequest(
                f"The container '{container.id}' is {container.rid}, not {intended}: it has been created anew.",
                substatus=CONTAINER_RID_MISMATCH,
            )
        return container

    async def _key(self, request: Request, container: Container) -> ItemKey:
        """The item that the path names, by its id or, in a link of resource ids, by that."""
        values, id_ = request.partition_key, request.address.id
        if values is None:
            raise _no_partition_key()
        if request.address.database == container.database.rid:
            found = await self._storage.read(lambda s: items.find_id(s, container, values, request.address.id))
            id_ = found or id_
        return items.key_of(container, values, id_)

    def _extent(self, request: Request, container: Container) -> tuple[Extent, bool]:
        """Which part the headers name, and whether they name one at all."""
        extent, single = Extent(), False
        values = request.partition_key
        if values is not None:
            epk = container.key.effective(values)
            if container.key.is_prefix(values):
                extent, single = Extent(epk, epk + MAX_EPK), True
            else:
                key = items.key_of(container, values, "")
                extent, single = Extent(epk, epk + "!", key.pk), True
        named = request.headers.get("x-ms-documentdb-partitionkeyrangeid")
        if named is not None:
            found = next((r for r in container.ranges if r.id == named.rpartition(",")[2]), None)
            if found is None:
                raise Gone(
                    f"The partition key range {named} is not there; the container has {len(container.ranges)}.",
                    substatus=PARTITION_KEY_RANGE_GONE,
                )
            extent, single = extent.within(found.low, found.high), True
        low, high = request.headers.get("x-ms-start-epk"), request.headers.get("x-ms-end-epk")
        if low is not None or high is not None:
            extent, single = extent.within((low or MIN_EPK).upper(), (high or MAX_EPK).upper()), True
        return extent, single

    def _check_servable(
        self, request: Request, container: Container, tree: syntax.Query, parameters: dict[str, object]
    ) -> None:
        """A query over several ranges may need the client to combine, and needs its consent."""
        keys = bounds.combinations(tree, container.key.paths, parameters)
        if not tree.sources or (keys is not None and len(keys) == 1):
            return
        if not request.flag("x-ms-documentdb-query-enablecrosspartition"):
            raise BadRequest(CROSS_PARTITION_DISABLED)
        if plan.needs_client(tree):
            features = frozenset(plan.features(tree))
            answer = plan.plan(tree, parameters, _ranges(container, tree, parameters), features)
            raise BadRequest(
                "The provided cross partition query can not be directly served by the gateway. This is a first chance "
                "(internal) exception that all newer clients will know how to handle gracefully. This exception is "
                "traced, but unless you see it bubble up as an exception (which only happens on older SDK clients), "
                "then you can safely ignore this message.",
                substatus=CROSS_PARTITION_QUERY_NOT_SERVABLE,
                additionalErrorInfo=documents.encode(answer).decode(),
            )

    def _of_result(self, request: Request, container: Container, key: ItemKey, result: Result) -> Reply:
        reply = Reply(result.status, result.body, {"x-ms-request-charge": str(result.charge)})
        if request.method != "GET" and request.wants_minimal:
            reply.body = b""
        if result.etag:
            reply.headers["etag"] = result.etag
        self._locate(reply, container, key.epk, result.lsn)
        return reply

    def _of_page(self, container: Container, extent: Extent, page: feed.Page) -> Reply:
        reply = of_feed(container.rid, "Documents", page.rows, page.charge)
        if page.continuation is not None:
            reply.headers["x-ms-continuation"] = page.continuation
        self._locate(reply, container, extent.low, 0)
        return reply

    def _locate(self, reply: Reply, container: Container, epk: str, lsn: int) -> None:
        """Say which range answered, and for a write the session token to read it back with."""
        range_id = container.range_of(epk).id
        reply.headers["x-ms-documentdb-partitionkeyrangeid"] = range_id
        reply.headers["x-ms-alt-content-path"] = quote(container.name_link)
        reply.headers["x-ms-content-path"] = container.rid
        if lsn:
            reply.headers["x-ms-session-token"] = f"{range_id}:-1#{lsn}"
            reply.headers["lsn"] = str(lsn)


# The index over effective partition keys and ids is the only one there is, and every query uses it.
_INDEX_METRICS = base64.b64encode(
    documents.encode(
        {
            "UtilizedSingleIndexes": [
                {
                    "FilterExpression": "",
                    "IndexSpec": "/_epk/?",
                    "FilterPreciseSet": True,
                    "IndexPreciseSet": True,
                    "IndexImpactScore": "High",
                }
            ],
            "PotentialSingleIndexes": [],
            "UtilizedCompositeIndexes": [],
            "PotentialCompositeIndexes": [],
        }
    )
).decode()


def parse_patch(now_ms: int) -> Callable[[object], patch.Patch]:
    """Reads `{"operations": […], "condition": "from c where …"}`, or the operations alone."""

    def parse_body(body: object) -> patch.Patch:
        if not isinstance(body, dict):
            return patch.Patch(patch.parse_steps(body))
        steps = patch.parse_steps(body.get("operations"))
        condition = body.get("condition")
        if condition is None:
            return patch.Patch(steps)
        program = compile_query(parse(f"SELECT * {condition}"), {}, now_ms)
        return patch.Patch(steps, lambda document: any(True for _ in program.rows({ROOT: document})))

    return parse_body


def _no_partition_key() -> CosmosError:
    return BadRequest(
        "PartitionKey value must be supplied for this operation, in the header x-ms-documentdb-partitionkey.",
        substatus=PARTITION_KEY_MISMATCH,
    )


def _ranges(container: Container, tree: syntax.Query, parameters: dict[str, object]) -> list[dict[str, object]]:
    """Which effective partition keys a query can concern."""
    keys = bounds.combinations(tree, container.key.paths, parameters)
    if keys is None:
        return [{"min": MIN_EPK, "max": MAX_EPK, "isMinInclusive": True, "isMaxInclusive": False}]
    points = sorted({container.key.effective(key) for key in keys})
    return [{"min": epk, "max": epk, "isMinInclusive": True, "isMaxInclusive": True} for epk in points]
