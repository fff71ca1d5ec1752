"""Which counts the index answers alone, without a document: what the query metrics of the service show."""

from localcloud.cosmos.indexing import IndexingPolicy
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.syntax import Expression
from localcloud.cosmos.sort_index import path_below

_COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))


def is_index_only(query: syntax.Query, indexing: IndexingPolicy) -> bool:
    """Whether a query counts documents by conditions on indexed properties, and nothing else."""
    items = query.items or ()
    if len(items) != 1 or len(query.sources) != 1 or query.sources[0].iterated or query.group_by or query.distinct:
        return False
    match items[0].expression:
        case (
            syntax.Call("COUNT", (counted,))
            | syntax.ArrayOf((syntax.ObjectOf(((_, syntax.Call("COUNT", (counted,))),)),))  # as a plan rewrites it
        ) if _is_value(counted):
            pass
        case _:
            return False
    return query.where is None or _is_indexed(query.where, query.sources[0], indexing)


def _is_indexed(condition: Expression, source: syntax.FromSource, indexing: IndexingPolicy) -> bool:
    match condition:
        case syntax.Binary("AND" | "OR", left, right):
            return _is_indexed(left, source, indexing) and _is_indexed(right, source, indexing)
        case syntax.Binary(operator, left, right) if operator in _COMPARISONS:
            path, value = (right, left) if _is_value(left) else (left, right)
            return _is_value(value) and _is_indexed_path(path, source, indexing)
        case syntax.In(operand, choices):
            return all(map(_is_value, choices)) and _is_indexed_path(operand, source, indexing)
        case _:
            return False


def _is_indexed_path(node: Expression, source: syntax.FromSource, indexing: IndexingPolicy) -> bool:
    path = path_below(node, source, {})
    return bool(path) and indexing.includes(path or ())


def _is_value(node: Expression) -> bool:
    return isinstance(node, syntax.Constant | syntax.Parameter)
