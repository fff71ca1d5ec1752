"""Handlers for queries and their plans, feeds and the change feed."""

import base64

from localcloud.cosmos import change_feed, charges, feed, json_documents
from localcloud.cosmos.catalog import Catalog, Container
from localcloud.cosmos.continuation import can_client_resume
from localcloud.cosmos.errors import CROSS_PARTITION_DISABLED, CROSS_PARTITION_QUERY_NOT_SERVABLE, BadRequestError
from localcloud.cosmos.exchange import INTEGER, Reply, Request, add_location_headers, feed_reply, read_query
from localcloud.cosmos.extent import Extent
from localcloud.cosmos.master_key import parse_date
from localcloud.cosmos.partition import MAX_EPK, MIN_EPK
from localcloud.cosmos.query import bounds, plan, syntax
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.program import compile_query
from localcloud.cosmos.sort_index import check_sort_index, sort_paths
from localcloud.cosmos.storage import Storage
from localcloud.cosmos.targets import find_container, named_extent

CLIENT_PAGE = 1000
"""How many results a page of the Python SDK has when its caller names no number."""


class QueryHandlers:
    def __init__(self, storage: Storage, catalog: Catalog) -> None:
        self._storage = storage
        self._catalog = catalog

    async def read_feed(self, request: Request) -> Reply:
        """A page of all documents, or with the header `A-IM` of the change feed."""
        container = find_container(self._catalog, request)
        extent, _ = named_extent(request, container)
        if "a-im" in request.headers:
            return await self._changes(request, container, extent)
        size, token = request.page_size, request.headers.get("x-ms-continuation")
        lsn, page = await self._storage.scan(
            lambda s: (change_feed.last_lsn(s), feed.read_items(s, container, extent, size, token, request.now))
        )
        return _page_reply(container, extent, page, lsn)

    async def query(self, request: Request) -> Reply:
        container = find_container(self._catalog, request)
        text, parameters = read_query(request)
        tree = parse(text)
        extent, single = named_extent(request, container)
        if not single:
            _check_servable(request, container, tree, parameters)
        check_sort_index(tree, container.indexing, parameters)
        size, token = request.page_size, request.headers.get("x-ms-continuation")
        lsn, page = await self._storage.scan(
            lambda session: (
                change_feed.last_lsn(session),
                feed.run_query(
                    session,
                    container,
                    extent,
                    text,
                    tree,
                    parameters,
                    limit=size,
                    token=token,
                    now_ms=request.now_ms,
                ),
            )
        )
        reply = _page_reply(container, extent, page, lsn)
        if page.continuation is None and _is_part_of_plan(request, tree):
            await self._mark_end_of_range(request, container, tree, parameters, reply)
        if request.flag("x-ms-documentdb-populatequerymetrics"):
            reply.headers["x-ms-documentdb-query-metrics"] = ";".join(
                f"{name}={value}" for name, value in page.metrics.items()
            )
        if request.flag("x-ms-cosmos-populateindexmetrics"):
            reply.headers["x-ms-cosmos-index-utilization"] = _INDEX_METRICS
        return reply

    async def _mark_end_of_range(
        self,
        request: Request,
        container: Container,
        tree: syntax.Query,
        parameters: dict[str, object],
        reply: Reply,
    ) -> None:
        """Give the last page of a range an ETag when the client's own page can't hold all results.

        The Python SDK gives its caller the token, or else the ETag, of the last response from any range, while it may
        hold results of other ranges. Without both, the caller takes the end of a range for the end of the query. A
        query with the ETag as its token is refused.
        """
        size = request.page_size if "x-ms-max-item-count" in request.headers else CLIENT_PAGE
        more = await self._storage.scan(
            lambda session: feed.has_more_results(
                session, container, tree, parameters, than=size, now_ms=request.now_ms
            )
        )
        if more:
            reply.headers["etag"] = f'"{container.rid}"'

    def plan(self, request: Request) -> Reply:
        container = find_container(self._catalog, request)
        text, parameters = read_query(request)
        tree = parse(text)
        compile_query(tree, parameters, request.now_ms)
        sort_paths(tree, parameters)
        supported = request.headers.get("x-ms-cosmos-supported-query-features", "")
        features = frozenset(name.strip() for name in supported.split(","))
        answer = plan.make_plan(tree, parameters, _ranges(container, tree, parameters), features)
        return Reply(200, json_documents.encode(answer), {"x-ms-request-charge": str(charges.METADATA_READ)})

    async def _changes(self, request: Request, container: Container, extent: Extent) -> Reply:
        if request.headers["a-im"].lower() != "incremental feed":
            raise BadRequestError(
                f"The change feed mode '{request.headers['a-im']}' is not available: expected 'Incremental feed'."
            )
        after, since = request.headers.get("if-none-match"), 0
        if after == "*":
            lsn = await self._storage.read(change_feed.last_lsn)
            return _changes_reply(container, extent, [], lsn, charges.FEED_BASE)
        if "if-modified-since" in request.headers:
            date = parse_date(request.headers["if-modified-since"])
            if date is None:
                raise BadRequestError(
                    f"If-Modified-Since is {request.headers['if-modified-since']!r}: expected an HTTP date."
                )
            since = int(date.timestamp())
        number = after.strip('"') if after else "0"
        if not INTEGER.fullmatch(number):
            raise BadRequestError(f"If-None-Match is {after!r}: expected what a page of the change feed gave.")
        lsn = int(number)
        size = request.page_size
        rows, last, charge = await self._storage.scan(
            lambda s: change_feed.read_changes(
                s, container, extent, after_lsn=lsn, since=since, limit=size, now=request.now
            )
        )
        return _changes_reply(container, extent, rows, last, charge)


def _changes_reply(container: Container, extent: Extent, rows: list[bytes], lsn: int, charge: float) -> Reply:
    reply = feed_reply(container.rid, "Documents", rows, charge)
    if not rows:
        reply.status, reply.body = 304, b""
    reply.headers["etag"] = f'"{lsn}"'
    add_location_headers(reply, container, extent.low, lsn)
    return reply


def _page_reply(container: Container, extent: Extent, page: feed.Page, lsn: int) -> Reply:
    """`lsn` is that of the last write before the page was read."""
    reply = feed_reply(container.rid, "Documents", page.rows, page.charge)
    if page.continuation is not None:
        reply.headers["x-ms-continuation"] = page.continuation
    add_location_headers(reply, container, extent.low, lsn)
    return reply


def _is_part_of_plan(request: Request, tree: syntax.Query) -> bool:
    """Whether a client reads one range of a query that it combines by the query plan."""
    return (
        "x-ms-documentdb-partitionkeyrangeid" in request.headers
        and "x-ms-documentdb-partitionkey" not in request.headers
        and request.flag("x-ms-documentdb-query-enablecrosspartition")
        and plan.needs_client(tree)
        and (not tree.order_by or plan.is_merged(tree))
    )


def _check_servable(request: Request, container: Container, tree: syntax.Query, parameters: dict[str, object]) -> None:
    """Raise BadRequestError for a query that the gateway can't serve.

    A query over several ranges needs the client's consent. When it needs a plan, the client has to combine the results
    of the ranges. An aggregate needs a plan even when the filter names one partition key: only the header
    `x-ms-documentdb-partitionkey` limits a query to one range.
    """
    if not tree.sources:
        return
    keys = bounds.combinations(tree, container.key.paths, parameters)
    is_pinned = keys is not None and len(keys) == 1
    if not is_pinned and not request.flag("x-ms-documentdb-query-enablecrosspartition"):
        raise BadRequestError(CROSS_PARTITION_DISABLED)
    if not (plan.is_aggregated(tree) if is_pinned else plan.needs_client(tree)):
        return
    token = request.headers.get("x-ms-continuation")
    if token and not can_client_resume(token, sort_keys=len(tree.order_by), distinct=tree.distinct):
        raise BadRequestError(
            "Invalid Continuation Token: a query that the client combines from several partition key ranges has no "
            "token of its own. Read on with the iterator that gave the token, or name a partition key."
        )
    features = frozenset(plan.features(tree))
    answer = plan.make_plan(tree, parameters, _ranges(container, tree, parameters), features)
    raise BadRequestError(
        "The provided cross partition query can not be directly served by the gateway. This is a first chance "
        "(internal) exception that all newer clients will know how to handle gracefully. This exception is "
        "traced, but unless you see it bubble up as an exception (which only happens on older SDK clients), "
        "then you can safely ignore this message.",
        substatus=CROSS_PARTITION_QUERY_NOT_SERVABLE,
        additionalErrorInfo=json_documents.encode(answer).decode(),
    )


# There is one index, over effective partition keys and ids, and every query uses it.
_INDEX_METRICS = base64.b64encode(
    json_documents.encode(
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


def _ranges(container: Container, tree: syntax.Query, parameters: dict[str, object]) -> list[dict[str, object]]:
    """The spans of effective partition keys in which a query can find results."""
    keys = bounds.combinations(tree, container.key.paths, parameters)
    if keys is None:
        return [{"min": MIN_EPK, "max": MAX_EPK, "isMinInclusive": True, "isMaxInclusive": False}]
    points = sorted({container.key.effective(key) for key in keys})
    return [{"min": epk, "max": epk, "isMinInclusive": True, "isMaxInclusive": True} for epk in points]
