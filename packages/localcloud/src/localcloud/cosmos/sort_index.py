"""What an ORDER BY can sort by.

The service sorts by its indexes alone. One key needs a path that the indexing policy includes. Several keys need a
composite index with exactly these paths and directions, or all directions reversed ("Indexing policies in Azure Cosmos
DB", order-by queries). What is no path of the document has no index.
"""

from collections.abc import Mapping

from localcloud.cosmos.errors import BadRequestError, query_error
from localcloud.cosmos.indexing import IndexingPolicy
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.syntax import Expression

Path = tuple[str, ...]


def check_sort_index(query: syntax.Query, indexing: IndexingPolicy, parameters: Mapping[str, object]) -> None:
    """Raise BadRequestError for an ORDER BY that no index of the policy serves."""
    orders = [(path, item.descending) for path, item in zip(sort_paths(query, parameters), query.order_by, strict=True)]
    if indexing.has_composite(orders):
        return
    for path, _ in orders:
        if not indexing.includes(path):
            raise BadRequestError(
                "The index path corresponding to the specified order-by item is excluded: "
                f"'/{'/'.join(path)}/?' is not in the container's indexing policy. Include it there."
            )
    if len(orders) > 1:
        index = ", ".join(f"/{'/'.join(path)} {'descending' if down else 'ascending'}" for path, down in orders)
        raise BadRequestError(
            "The order by query does not have a corresponding composite index that it can be served from: "
            f"the container's indexing policy has none over ({index}). Add it to its compositeIndexes."
        )


def sort_paths(query: syntax.Query, parameters: Mapping[str, object]) -> list[Path]:
    """The paths in the document that a query sorts by. Raises BadRequestError for a key that is none."""
    return [_sort_path(item.expression, query, parameters) for item in query.order_by]


def _sort_path(node: Expression, query: syntax.Query, parameters: Mapping[str, object]) -> Path:
    alias = _alias_and_path(node, parameters)[0]
    number = next((number for number, source in enumerate(query.sources) if source.alias == alias), None)
    if number is not None and number > 0:
        raise BadRequestError(f"Order-by over correlated collections is not supported: {alias!r} is of a JOIN.")
    path = path_below(node, query.sources[0], parameters) if number is not None else None
    if path is None:
        raise query_error(
            "SC2206",
            "Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a document path: "
            f"{syntax.text_of(node)}. Sort by a property, or by a computed property of the container.",
        )
    return path


def path_below(node: Expression, source: syntax.FromSource, parameters: Mapping[str, object]) -> Path | None:
    """The path in the document that an expression over the first source of a query is; None for what is none."""
    alias, below = _alias_and_path(node, parameters)
    # The first source begins with a name of its own choice for the document: `FROM c`, `FROM x IN c.tags`.
    start = _alias_and_path(source.of, parameters)[1]
    if alias != source.alias or start is None or below is None:
        return None
    return (*start, *(("[]",) if source.iterated else ()), *below)


def _alias_and_path(node: Expression, parameters: Mapping[str, object]) -> tuple[str | None, Path | None]:
    """The name that an expression begins with and the path below it; None for what is no path."""
    tokens: list[str] = []
    while isinstance(node, syntax.Member):
        key = node.key.value if isinstance(node.key, syntax.Constant) else None
        if isinstance(node.key, syntax.Parameter):
            key = parameters.get(node.key.name)
        if isinstance(key, bool) or not isinstance(key, str | int):
            return None, None
        tokens.append(key if isinstance(key, str) else "[]")
        node = node.of
    return (node.name, tuple(reversed(tokens))) if isinstance(node, syntax.Name) else (None, None)
