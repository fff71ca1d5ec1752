"""The query plan: what a client has to do when a query spans partition key ranges.

The client sends the rewritten query to each range and combines: merges by `orderByItems`, adds up partial aggregates,
drops duplicates, skips and takes. Shapes: `azure.cosmos._execution_context` reads them (`query_execution_info`,
`endpoint_component`, `aggregators`), and the other SDKs the same.
"""

from collections.abc import Mapping
from dataclasses import replace

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.bounds import root_alias
from localcloud.cosmos.query.functions import AGGREGATES
from localcloud.cosmos.query.parser import CLIENT_FILTER
from localcloud.cosmos.query.program import count_of, names_of
from localcloud.cosmos.query.syntax import Call, Constant, Expression, Member, ObjectOf, SelectItem

VERSION = 2
_AGGREGATE_NAMES = {
    "COUNT": "Count",
    "COUNTIF": "CountIf",
    "SUM": "Sum",
    "AVG": "Average",
    "MIN": "Min",
    "MAX": "Max",
    "MAKELIST": "MakeList",
    "MAKESET": "MakeSet",
}


def aggregate_of(node: Expression) -> str | None:
    """The aggregate that an expression is a call of."""
    return node.function if isinstance(node, Call) and node.function in AGGREGATES else None


def has_aggregate(node: object) -> bool:
    """Whether one is anywhere in the expression, outside of subqueries."""
    match node:
        case Call(function, arguments):
            return function in AGGREGATES or any(map(has_aggregate, arguments))
        case syntax.Subquery() | Constant() | syntax.Name() | syntax.Parameter() | None | bool() | str():
            return False
        case tuple():
            return any(map(has_aggregate, node))
        case _:
            return any(has_aggregate(getattr(node, name)) for name in type(node).__slots__)  # type: ignore[attr-defined]


def needs_client(query: syntax.Query) -> bool:
    """Whether ranges cannot simply be read one after the other."""
    return bool(
        query.distinct
        or query.top is not None
        or query.limit is not None
        or query.group_by
        or query.order_by
        or is_aggregated(query)
    )


def is_aggregated(query: syntax.Query) -> bool:
    return any(has_aggregate(item.expression) for item in query.items or ())


def is_merged(query: syntax.Query) -> bool:
    """Whether it is a query that `make_plan` rewrote so that clients can merge its ranges by ORDER BY."""
    return [item.alias for item in query.items or ()] == ["_rid", "orderByItems", "payload"]


def features(query: syntax.Query) -> list[str]:
    """The features that a client has to support, by their names in `x-ms-cosmos-supported-query-features`."""
    items = query.items or ()
    aggregated = [item for item in items if has_aggregate(item.expression)]
    simple = query.value and len(aggregated) == 1 and aggregate_of(items[0].expression) is not None
    needed = {
        "Distinct": query.distinct,
        "Top": query.top is not None,
        "OffsetAndLimit": query.limit is not None,
        "GroupBy": bool(query.group_by),
        "OrderBy": bool(query.order_by),
        "MultipleOrderBy": len(query.order_by) > 1,
        "Aggregate": bool(aggregated) and simple and not query.group_by,
        "MultipleAggregates": len(aggregated) > 1,
        "NonValueAggregate": bool(aggregated) and not simple and not query.group_by,
    }
    return [name for name, is_needed in needed.items() if is_needed]


def make_plan(
    query: syntax.Query,
    parameters: Mapping[str, object],
    ranges: list[dict[str, object]],
    supported: frozenset[str],
) -> dict[str, object]:
    """The plan as JSON. Raises BadRequestError when the client does not support what the query needs."""
    missing = [name for name in features(query) if name not in supported]
    if missing:
        raise BadRequestError(
            "Query contains 1 or more unsupported features. Upgrade your SDK to a version that does support the "
            "requested features: "
            + " ".join(f"Query contained {name}, which the calling client does not support." for name in missing)
        )
    top = count_of(query.top, parameters, "TOP") if query.top is not None else None
    offset = count_of(query.offset, parameters, "OFFSET") if query.offset is not None else None
    limit = count_of(query.limit, parameters, "LIMIT") if query.limit is not None else None
    info: dict[str, object] = {
        "distinctType": ("Ordered" if _is_sorted_by_all(query) else "Unordered") if query.distinct else "None",
        "top": top,
        "offset": offset,
        "limit": limit,
        "orderBy": ["Descending" if item.descending else "Ascending" for item in query.order_by],
        "orderByExpressions": [syntax.text_of(item.expression) for item in query.order_by],
        "groupByExpressions": [syntax.text_of(expression) for expression in query.group_by],
        "groupByAliases": [],
        "aggregates": [],
        "groupByAliasToAggregateType": {},
        "rewrittenQuery": "",
        "hasSelectValue": query.value,
        "dCountInfo": None,
        "hasNonStreamingOrderBy": False,
    }
    rewritten = _without_offset(query, offset, limit)
    if query.group_by or is_aggregated(query):
        rewritten = _aggregated(rewritten, info)
    if rewritten.order_by:
        rewritten = _merged(rewritten)
    if rewritten != query:
        info["rewrittenQuery"] = syntax.text_of_query(rewritten)
    return {"partitionedQueryExecutionInfoVersion": VERSION, "queryInfo": info, "queryRanges": ranges}


def _without_offset(query: syntax.Query, offset: int | None, limit: int | None) -> syntax.Query:
    """Each range returns as many rows as the client may take from it alone."""
    if offset is None or limit is None:
        return query
    return replace(query, offset=Constant(0), limit=Constant(offset + limit))


def _is_sorted_by_all(query: syntax.Query) -> bool:
    """Whether equal results follow each other, so that a client need not remember all that it has seen."""
    selected = [item.expression for item in query.items or ()]
    keys = [item.expression for item in query.order_by[: len(selected)]]
    return bool(selected) and len(keys) == len(selected) and all(expression in keys for expression in selected)


def _payload(query: syntax.Query) -> Expression:
    if query.items is None:
        return syntax.Name(query.sources[0].alias)
    if query.value:
        return query.items[0].expression
    names = names_of(query.items)
    return ObjectOf(tuple(zip(names, (item.expression for item in query.items), strict=True)))


def _merged(query: syntax.Query) -> syntax.Query:
    """`SELECT c._rid, [{"item": key}, …] AS orderByItems, … AS payload`."""
    alias = root_alias(query) or query.sources[0].alias
    payload = _payload(query)
    items = syntax.ArrayOf(tuple(ObjectOf((("item", sort.expression),)) for sort in query.order_by))
    # A row without a payload is not a result, and the client expects one. A client that goes on by a token of its own
    # replaces the filter.
    where: Expression = syntax.Binary("AND", Call("IS_DEFINED", (payload,)), syntax.Name(CLIENT_FILTER))
    if query.distinct:
        # The client drops duplicates, so a range does not know how many of its rows the client will take.
        query = replace(query, distinct=False, top=None, offset=None, limit=None)
    return replace(
        query,
        value=False,
        items=(
            SelectItem(Member(syntax.Name(alias), Constant("_rid")), "_rid"),
            SelectItem(items, "orderByItems"),
            SelectItem(payload, "payload"),
        ),
        where=where if query.where is None else syntax.Binary("AND", query.where, where),
    )


def _aggregated(query: syntax.Query, info: dict[str, object]) -> syntax.Query:
    """`SELECT VALUE [{"item": COUNT(1)}]`, or with groups `SELECT [{"item": key}] AS groupByItems, {…} AS payload`."""
    items = query.items or ()
    first = aggregate_of(items[0].expression) if items else None
    if query.value and not query.group_by and first is not None:
        info["aggregates"] = [_AGGREGATE_NAMES[first]]
        info["orderBy"] = info["orderByExpressions"] = []  # of a single result
        return replace(query, order_by=(), items=(SelectItem(syntax.ArrayOf((_partial(items[0].expression),))),))
    names = names_of(items)
    kinds = [aggregate_of(item.expression) for item in items]
    info["groupByAliases"] = names
    info["groupByAliasToAggregateType"] = {
        name: _AGGREGATE_NAMES[kind] if kind else None for name, kind in zip(names, kinds, strict=True)
    }
    if query.value:
        payload = _partial(items[0].expression) if kinds[0] else items[0].expression
    else:
        payload = ObjectOf(
            tuple(
                (name, _partial(item.expression) if kind else item.expression)
                for name, item, kind in zip(names, items, kinds, strict=True)
            )
        )
    keys = syntax.ArrayOf(tuple(ObjectOf((("item", expression),)) for expression in query.group_by))
    return replace(query, value=False, items=(SelectItem(keys, "groupByItems"), SelectItem(payload, "payload")))


def _partial(node: Expression) -> Expression:
    """The partial aggregate of a range, for the client to combine: an average needs sum and count."""
    assert isinstance(node, Call)
    count = Call("COUNT", node.arguments)
    if node.function == "AVG":
        return ObjectOf((("item", ObjectOf((("sum", Call("SUM", node.arguments)), ("count", count)))),))
    if node.function in ("MIN", "MAX"):
        name = node.function.lower()
        return ObjectOf((("item", node), ("item2", ObjectOf(((name, node), ("count", count))))))
    return ObjectOf((("item", node),))
